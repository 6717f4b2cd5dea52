//! Calls of `SubtensorModule` at the indices of the chain, which has many more. What they check and do is elsewhere.

/// Imported by the pallet.
#[frame_support::pallet_macros::pallet_section]
mod calls {
    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Sets the weights of the signing hotkey's uid on the first mechanism of a subnet.
        #[pallet::call_index(0)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn set_weights(
            origin: OriginFor<T>,
            netuid: u16,
            dests: Vec<u16>,
            weights: Vec<u16>,
            version_key: u64,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            weights::set(&hotkey, netuid, 0, &dests, &weights, version_key)
        }

        /// Sets the weights of the signing hotkey's uid on a mechanism of a subnet.
        #[pallet::call_index(119)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn set_mechanism_weights(
            origin: OriginFor<T>,
            netuid: u16,
            mecid: u8,
            dests: Vec<u16>,
            weights: Vec<u16>,
            version_key: u64,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            weights::set(&hotkey, netuid, mecid, &dests, &weights, version_key)
        }

        /// Commits the signing hotkey to weights by their hash.
        #[pallet::call_index(96)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn commit_weights(origin: OriginFor<T>, netuid: u16, commit_hash: H256) -> DispatchResult {
            weights::commit(&ensure_signed(origin)?, netuid, 0, commit_hash)
        }

        /// Commits the signing hotkey to weights on a mechanism by their hash.
        #[pallet::call_index(115)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn commit_mechanism_weights(
            origin: OriginFor<T>,
            netuid: u16,
            mecid: u8,
            commit_hash: H256,
        ) -> DispatchResult {
            weights::commit(&ensure_signed(origin)?, netuid, mecid, commit_hash)
        }

        /// Reveals and sets the weights of a commit.
        #[pallet::call_index(97)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn reveal_weights(
            origin: OriginFor<T>,
            netuid: u16,
            uids: Vec<u16>,
            values: Vec<u16>,
            salt: Vec<u16>,
            version_key: u64,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            weights::reveal(&hotkey, netuid, 0, &uids, &values, &salt, version_key)
        }

        /// Reveals and sets the weights of a commit on a mechanism.
        #[pallet::call_index(116)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn reveal_mechanism_weights(
            origin: OriginFor<T>,
            netuid: u16,
            mecid: u8,
            uids: Vec<u16>,
            values: Vec<u16>,
            salt: Vec<u16>,
            version_key: u64,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            weights::reveal(&hotkey, netuid, mecid, &uids, &values, &salt, version_key)
        }

        /// Commits the signing hotkey to encrypted weights, which the chain opens itself.
        #[pallet::call_index(113)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn commit_timelocked_weights(
            origin: OriginFor<T>,
            netuid: u16,
            commit: SealedWeights,
            reveal_round: u64,
            commit_reveal_version: u16,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            timelocked::commit(&who, netuid, 0, commit, reveal_round, commit_reveal_version)
        }

        /// Commits the signing hotkey to encrypted weights on a mechanism.
        #[pallet::call_index(118)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn commit_timelocked_mechanism_weights(
            origin: OriginFor<T>,
            netuid: u16,
            mecid: u8,
            commit: SealedWeights,
            reveal_round: u64,
            commit_reveal_version: u16,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            timelocked::commit(&who, netuid, mecid, commit, reveal_round, commit_reveal_version)
        }

        /// Takes a uid of a subnet for a hotkey; the signing coldkey pays.
        #[pallet::call_index(7)]
        #[pallet::weight((fees::BURNED_REGISTER, DispatchClass::Normal, Pays::Yes))]
        pub fn burned_register(origin: OriginFor<T>, netuid: u16, hotkey: T::AccountId) -> DispatchResult {
            registration::burned(&ensure_signed(origin)?, netuid, &hotkey)
        }

        /// Buys stake on a hotkey; the signing coldkey pays rao.
        #[pallet::call_index(2)]
        #[pallet::weight((fees::ADD_STAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn add_stake(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: u16,
            amount_staked: u64,
        ) -> DispatchResult {
            staking::add(&ensure_signed(origin)?, &hotkey, netuid, amount_staked, None)
        }

        /// Sells the signing coldkey's stake on a hotkey.
        #[pallet::call_index(3)]
        #[pallet::weight((fees::REMOVE_STAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn remove_stake(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: u16,
            amount_unstaked: u64,
        ) -> DispatchResult {
            staking::remove(&ensure_signed(origin)?, &hotkey, netuid, amount_unstaked)
        }

        /// Moves the signing coldkey's stake to another hotkey.
        #[pallet::call_index(85)]
        #[pallet::weight((fees::MOVE_STAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn move_stake(
            origin: OriginFor<T>,
            origin_hotkey: T::AccountId,
            destination_hotkey: T::AccountId,
            origin_netuid: u16,
            destination_netuid: u16,
            alpha_amount: u64,
        ) -> DispatchResult {
            let coldkey = &ensure_signed(origin)?;
            let from = Place {
                coldkey,
                hotkey: &origin_hotkey,
                netuid: origin_netuid,
            };
            let to = Place {
                coldkey,
                hotkey: &destination_hotkey,
                netuid: destination_netuid,
            };
            staking::relocate(&Move {
                kind: Kind::Hotkey,
                from,
                to,
                rao: alpha_amount,
                limit: None,
            })
        }

        /// Gives the signing coldkey's stake to another coldkey.
        #[pallet::call_index(86)]
        #[pallet::weight((fees::TRANSFER_STAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn transfer_stake(
            origin: OriginFor<T>,
            destination_coldkey: T::AccountId,
            hotkey: T::AccountId,
            origin_netuid: u16,
            destination_netuid: u16,
            alpha_amount: u64,
        ) -> DispatchResult {
            let hotkey = &hotkey;
            let from = Place {
                coldkey: &ensure_signed(origin)?,
                hotkey,
                netuid: origin_netuid,
            };
            let to = Place {
                coldkey: &destination_coldkey,
                hotkey,
                netuid: destination_netuid,
            };
            staking::relocate(&Move {
                kind: Kind::Coldkey,
                from,
                to,
                rao: alpha_amount,
                limit: None,
            })
        }

        /// Moves the signing coldkey's stake to another subnet.
        #[pallet::call_index(87)]
        #[pallet::weight((fees::SWAP_STAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn swap_stake(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            origin_netuid: u16,
            destination_netuid: u16,
            alpha_amount: u64,
        ) -> DispatchResult {
            let (coldkey, hotkey) = (&ensure_signed(origin)?, &hotkey);
            let from = Place {
                coldkey,
                hotkey,
                netuid: origin_netuid,
            };
            let to = Place {
                coldkey,
                hotkey,
                netuid: destination_netuid,
            };
            staking::relocate(&Move {
                kind: Kind::Subnet,
                from,
                to,
                rao: alpha_amount,
                limit: None,
            })
        }

        /// Gives parts of a hotkey's stake to children, after a cooldown.
        #[pallet::call_index(67)]
        #[pallet::weight((fees::SET_CHILDREN, DispatchClass::Normal, Pays::Yes))]
        pub fn set_children(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: u16,
            children: Vec<(u64, T::AccountId)>,
        ) -> DispatchResult {
            children::schedule(&ensure_signed(origin)?, &hotkey, netuid, children)
        }

        /// Sets what a hotkey keeps of the dividends of its parents on a subnet.
        #[pallet::call_index(75)]
        #[pallet::weight((fees::SET_CHILDKEY_TAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn set_childkey_take(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: u16,
            take: u16,
        ) -> DispatchResult {
            childkey_take::set(&ensure_signed(origin)?, &hotkey, netuid, take)
        }

        /// Sets that cooldown, in blocks.
        #[pallet::call_index(109)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Operational, Pays::No))]
        pub fn set_pending_childkey_cooldown(origin: OriginFor<T>, cooldown: u64) -> DispatchResult {
            ensure_root(origin)?;
            PendingChildKeyCooldown::<T>::put(cooldown);
            Ok(())
        }

        /// Says where the signing hotkey serves on a subnet.
        #[pallet::call_index(4)]
        #[pallet::weight((fees::SERVE_AXON, DispatchClass::Normal, Pays::No))]
        pub fn serve_axon(
            origin: OriginFor<T>,
            netuid: u16,
            version: u32,
            ip: u128,
            port: u16,
            ip_type: u8,
            protocol: u8,
            placeholder1: u8,
            placeholder2: u8,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            let axon = AxonInfo {
                block: Self::now(),
                version,
                ip,
                port,
                ip_type,
                protocol,
                placeholder1,
                placeholder2,
            };
            Ok(serving::serve(netuid, &hotkey, axon)?)
        }

        /// Buys stake on a hotkey, up to a price.
        #[pallet::call_index(88)]
        #[pallet::weight((fees::ADD_STAKE_LIMIT, DispatchClass::Normal, Pays::Yes))]
        pub fn add_stake_limit(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: u16,
            amount_staked: u64,
            limit_price: u64,
            allow_partial: bool,
        ) -> DispatchResult {
            let limit = Limit {
                price: limit_price,
                partly: allow_partial,
            };
            staking::add(
                &ensure_signed(origin)?,
                &hotkey,
                netuid,
                amount_staked,
                Some(limit),
            )
        }

        /// Sells the signing coldkey's stake on a hotkey, down to a price.
        #[pallet::call_index(89)]
        #[pallet::weight((fees::REMOVE_STAKE_LIMIT, DispatchClass::Normal, Pays::Yes))]
        pub fn remove_stake_limit(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: u16,
            amount_unstaked: u64,
            limit_price: u64,
            allow_partial: bool,
        ) -> DispatchResult {
            let limit = Limit {
                price: limit_price,
                partly: allow_partial,
            };
            staking::remove_within(&ensure_signed(origin)?, &hotkey, netuid, amount_unstaked, limit)
        }

        /// Sells all of the signing coldkey's stake on a hotkey on a subnet, down to a price if one is given.
        #[pallet::call_index(103)]
        #[pallet::weight((fees::REMOVE_STAKE_LIMIT, DispatchClass::Normal, Pays::Yes))]
        pub fn remove_stake_full_limit(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: u16,
            limit_price: Option<u64>,
        ) -> DispatchResult {
            staking::remove_all_on(&ensure_signed(origin)?, &hotkey, netuid, limit_price)
        }

        /// Sells all of the signing coldkey's stake on a hotkey.
        #[pallet::call_index(83)]
        #[pallet::weight((fees::REMOVE_STAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn unstake_all(origin: OriginFor<T>, hotkey: T::AccountId) -> DispatchResult {
            staking::remove_all(&ensure_signed(origin)?, &hotkey, false)
        }

        /// Sells all of the signing coldkey's stake on a hotkey but what is on root, and stakes it there.
        #[pallet::call_index(84)]
        #[pallet::weight((fees::REMOVE_STAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn unstake_all_alpha(origin: OriginFor<T>, hotkey: T::AccountId) -> DispatchResult {
            staking::remove_all(&ensure_signed(origin)?, &hotkey, true)
        }

        /// Moves the signing coldkey's stake to another subnet, down to a price of the one alpha in the other.
        #[pallet::call_index(90)]
        #[pallet::weight((fees::SWAP_STAKE_LIMIT, DispatchClass::Normal, Pays::Yes))]
        pub fn swap_stake_limit(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            origin_netuid: u16,
            destination_netuid: u16,
            alpha_amount: u64,
            limit_price: u64,
            allow_partial: bool,
        ) -> DispatchResult {
            let (coldkey, hotkey) = (&ensure_signed(origin)?, &hotkey);
            let place = |netuid| Place {
                coldkey,
                hotkey,
                netuid,
            };
            staking::relocate(&Move {
                kind: Kind::Subnet,
                from: place(origin_netuid),
                to: place(destination_netuid),
                rao: alpha_amount,
                limit: Some(Limit {
                    price: limit_price,
                    partly: allow_partial,
                }),
            })
        }

        /// Registers a subnet; the signing coldkey pays, and owns it.
        #[pallet::call_index(59)]
        #[pallet::weight((fees::REGISTER_NETWORK, DispatchClass::Normal, Pays::Yes))]
        pub fn register_network(origin: OriginFor<T>, hotkey: T::AccountId) -> DispatchResult {
            networks::register(&ensure_signed(origin)?, &hotkey, None)
        }

        /// Registers a subnet that says what it is.
        #[pallet::call_index(79)]
        #[pallet::weight((fees::REGISTER_NETWORK, DispatchClass::Normal, Pays::Yes))]
        pub fn register_network_with_identity(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            identity: Option<SubnetIdentityV3>,
        ) -> DispatchResult {
            networks::register(&ensure_signed(origin)?, &hotkey, identity)
        }

        /// Lets the signing coldkey's subnet emit.
        #[pallet::call_index(92)]
        #[pallet::weight((fees::START_CALL, DispatchClass::Normal, Pays::Yes))]
        pub fn start_call(origin: OriginFor<T>, netuid: u16) -> DispatchResult {
            networks::start(&ensure_signed(origin)?, netuid)
        }

        /// Takes a uid of a subnet for a hotkey, if it costs no more than so many rao.
        #[pallet::call_index(134)]
        #[pallet::weight((fees::BURNED_REGISTER, DispatchClass::Normal, Pays::Yes))]
        pub fn register_limit(
            origin: OriginFor<T>,
            netuid: u16,
            hotkey: T::AccountId,
            limit_price: u64,
        ) -> DispatchResult {
            registration::burned_within(&ensure_signed(origin)?, netuid, &hotkey, limit_price)
        }

        /// Lets a hotkey keep less of the dividends of those who staked on it.
        #[pallet::call_index(65)]
        #[pallet::weight((fees::DECREASE_TAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn decrease_take(origin: OriginFor<T>, hotkey: T::AccountId, take: u16) -> DispatchResult {
            delegate_take::decrease(&ensure_signed(origin)?, &hotkey, take)
        }

        /// Lets it keep more.
        #[pallet::call_index(66)]
        #[pallet::weight((fees::INCREASE_TAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn increase_take(origin: OriginFor<T>, hotkey: T::AccountId, take: u16) -> DispatchResult {
            delegate_take::increase(&ensure_signed(origin)?, &hotkey, take)
        }

        /// Locks stake of the signing coldkey on its hotkey, and buys what is missing up to a price.
        #[pallet::call_index(144)]
        #[pallet::weight((fees::ADD_COLLATERAL, DispatchClass::Normal, Pays::Yes))]
        pub fn add_collateral(
            origin: OriginFor<T>,
            netuid: u16,
            hotkey: T::AccountId,
            alpha: u64,
            limit_price: u64,
        ) -> DispatchResult {
            collateral::add(&ensure_signed(origin)?, netuid, &hotkey, alpha, limit_price)
        }

        /// Says how much is to stay locked there.
        #[pallet::call_index(145)]
        #[pallet::weight((fees::SET_MIN_COLLATERAL, DispatchClass::Normal, Pays::Yes))]
        pub fn set_min_collateral(
            origin: OriginFor<T>,
            netuid: u16,
            hotkey: T::AccountId,
            min_locked: u64,
        ) -> DispatchResult {
            collateral::set_least(&ensure_signed(origin)?, netuid, &hotkey, min_locked)
        }
    }
}
