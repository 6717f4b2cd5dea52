//! Errors of `SubtensorModule`'s calls at the indices of the chain, which has many more.

/// Imported by the pallet.
#[frame_support::pallet_macros::pallet_section]
mod errors {
    #[pallet::error]
    pub enum Error<T> {
        /// The ip type is neither 4 nor 6.
        #[codec(index = 1)]
        InvalidIpType,
        /// The address is the highest of its kind or the loopback one.
        #[codec(index = 2)]
        InvalidIpAddress,
        /// The port is 0.
        #[codec(index = 3)]
        InvalidPort,
        /// The hotkey has no uid to set weights from.
        #[codec(index = 4)]
        HotKeyNotRegisteredInSubNet,
        /// The hotkey was never registered anywhere.
        #[codec(index = 5)]
        HotKeyAccountNotExists,
        /// The hotkey has no uid on the subnet.
        #[codec(index = 6)]
        HotKeyNotRegisteredInNetwork,
        /// The hotkey belongs to another coldkey.
        #[codec(index = 7)]
        NonAssociatedColdKey,
        /// The coldkey has less on the hotkey.
        #[codec(index = 9)]
        NotEnoughStakeToWithdraw,
        /// The stake weight is below the threshold.
        #[codec(index = 10)]
        NotEnoughStakeToSetWeights,
        /// The hotkey has less than the threshold.
        #[codec(index = 11)]
        NotEnoughStakeToSetChildkeys,
        /// The coldkey has not what it is to pay.
        #[codec(index = 12)]
        NotEnoughBalanceToStake,
        /// Only a validator may set weights on others.
        #[codec(index = 15)]
        NeuronNoValidatorPermit,
        /// There are not as many weights as uids.
        #[codec(index = 16)]
        WeightVecNotEqualSize,
        /// A uid is named twice.
        #[codec(index = 17)]
        DuplicateUids,
        /// A uid is not on the subnet.
        #[codec(index = 18)]
        UidVecContainInvalidOne,
        /// There are fewer weights than the subnet asks for.
        #[codec(index = 19)]
        WeightVecLengthIsLow,
        /// The hotkey has a uid on the subnet.
        #[codec(index = 21)]
        HotKeyAlreadyRegisteredInSubNet,
        /// The last weights of the uid are too recent.
        #[codec(index = 29)]
        SettingWeightsTooFast,
        /// The version key is below the one of the subnet.
        #[codec(index = 30)]
        IncorrectWeightVersionKey,
        /// The last `serve_axon` of the hotkey is too recent.
        #[codec(index = 31)]
        ServingRateLimitExceeded,
        /// There are more uids than on the subnet.
        #[codec(index = 32)]
        UidsLengthExceedUidsInSubNet,
        /// A subnet was registered too recently.
        #[codec(index = 33)]
        NetworkTxRateLimitExceeded,
        /// The last change of what the delegate keeps is too recent.
        #[codec(index = 34)]
        DelegateTxRateLimitExceeded,
        /// The subnet takes nobody.
        #[codec(index = 37)]
        SubNetRegistrationDisabled,
        /// Root takes nobody this way.
        #[codec(index = 42)]
        RegistrationNotPermittedOnRootSubnet,
        /// Root takes no weights this way.
        #[codec(index = 47)]
        CanNotSetRootNetworkWeights,
        /// Every uid of the subnet is taken by somebody who may stay.
        #[codec(index = 48)]
        NoNeuronIdAvailable,
        /// A delegate keeps less, or as much as before, or more where it should be less.
        #[codec(index = 49)]
        DelegateTakeTooLow,
        /// More than a delegate may keep.
        #[codec(index = 50)]
        DelegateTakeTooHigh,
        /// The hotkey has nothing to reveal.
        #[codec(index = 51)]
        NoWeightsCommitFound,
        /// The hotkey committed to something else.
        #[codec(index = 52)]
        InvalidRevealCommitHashNotMatch,
        /// The subnet takes commits only.
        #[codec(index = 53)]
        CommitRevealEnabled,
        /// The subnet takes no commits.
        #[codec(index = 54)]
        CommitRevealDisabled,
        /// A hotkey is no child of its own.
        #[codec(index = 60)]
        InvalidChild,
        /// A child is named twice.
        #[codec(index = 61)]
        DuplicateChild,
        /// The parts are more than the whole.
        #[codec(index = 62)]
        ProportionOverflow,
        /// There are more than five children.
        #[codec(index = 63)]
        TooManyChildren,
        /// The last call of the kind is too recent.
        #[codec(index = 64)]
        TxRateLimitExceeded,
        /// Less or more than a child may keep.
        #[codec(index = 71)]
        InvalidChildkeyTake,
        /// The last change of what a child keeps is too recent.
        #[codec(index = 72)]
        TxChildkeyTakeRateLimitExceeded,
        /// What a subnet says of itself is too long.
        #[codec(index = 73)]
        InvalidIdentity,
        /// There is no such subnet, or it has no such mechanism.
        #[codec(index = 74)]
        MechanismDoesNotExist,
        /// The stake is locked.
        #[codec(index = 75)]
        StakeUnavailable,
        /// There is no such subnet.
        #[codec(index = 76)]
        SubnetNotExists,
        /// The hotkey has ten commits to reveal.
        #[codec(index = 77)]
        TooManyUnrevealedCommits,
        /// The commit could be revealed in an earlier epoch only.
        #[codec(index = 78)]
        ExpiredWeightCommit,
        /// The commit can be revealed in a later epoch only.
        #[codec(index = 79)]
        RevealTooEarly,
        /// The last commit or weights of the uid are too recent.
        #[codec(index = 81)]
        CommittingWeightsTooFast,
        /// Less than may be moved.
        #[codec(index = 82)]
        AmountTooLow,
        /// The pool has too little for it.
        #[codec(index = 83)]
        InsufficientLiquidity,
        /// The price would be beyond the limit.
        #[codec(index = 84)]
        SlippageTooHigh,
        /// Stake of the subnet stays with its coldkey.
        #[codec(index = 85)]
        TransferDisallowed,
        /// The subnet was started before.
        #[codec(index = 88)]
        FirstEmissionBlockNumberAlreadySet,
        /// The subnet's stake cannot be bought yet.
        #[codec(index = 94)]
        SubtokenDisabled,
        /// The stake would stay where it is.
        #[codec(index = 97)]
        SameNetuid,
        /// The commit is of another version than the subnet takes.
        #[codec(index = 111)]
        IncorrectCommitRevealVersion,
        /// The round of the commit is over.
        #[codec(index = 112)]
        InvalidRevealRound,
        /// There are as many subnets as there may be, and none makes room.
        #[codec(index = 116)]
        SubnetLimitReached,
        /// The coldkey has not what a subnet costs.
        #[codec(index = 117)]
        CannotAffordLockCost,
        /// A parent of the hotkey is to be its child.
        #[codec(index = 123)]
        ChildParentInconsistency,
        /// A registration costs more than was said.
        #[codec(index = 136)]
        RegistrationPriceLimitExceeded,
        /// No more subnets can wait for room.
        #[codec(index = 150)]
        LockIdOverFlow,
        /// The subnet is too young to be started.
        #[codec(index = 151)]
        StartCallNotReady,
    }
}
