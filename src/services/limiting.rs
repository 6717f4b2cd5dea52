//! Limits of requests, shared by all replicas: each counts for itself, and tells the others before it lets a sixteenth of
//! a limit through (`src/domain/rates.rs`). n replicas together may so exceed a limit by n sixteenths of it. While the
//! database does not answer each keeps the limits alone.
use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use moka::future::Cache;
use tokio::sync::{Notify, watch};
use violet_chain::Hotkey;

use crate::{
    app::App,
    domain::{
        ApiKeyId, OrganizationId, blake2b_256,
        rates::{Counter, Limits, STRETCH, Standing, Verdict},
    },
    error::{Error, Result},
    store,
};

/// Parts of the table, each under a lock of its own.
const SHARDS: usize = 16;
/// Counters in a part. Newcomers beyond share those of the crowd, so that a flood of addresses takes no more memory and
/// pushes nobody out.
const MOST: usize = 8192;
/// Counters that newcomers share in a part when it is full.
const CROWD: u8 = 16;
/// Who was recognised lately is still let in from an address whose strangers used up their requests.
const KNOWN: Duration = Duration::from_secs(600);
const MOST_KNOWN: u64 = 100_000;
/// The most counters that are told at once.
const LARGEST: usize = 5_000;
/// How long a request waits for the others to be told.
const PATIENCE: Duration = Duration::from_millis(250);

/// Whose requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An API key.
    Key(ApiKeyId),
    /// All keys and members of an organisation together.
    Organization(OrganizationId),
    /// A neuron.
    Hotkey(Hotkey),
    /// Everybody at an address who was not recognised; of IPv6 the network of 64 bits that one caller has.
    Address([u8; 16]),
    /// Some of those who came when a part of the table was full.
    Crowd(&'static str, usize, u8),
}

impl Subject {
    /// Strangers at this address.
    pub fn address(address: IpAddr) -> Self {
        let mut bytes = match address.to_canonical() {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        };
        if !matches!(address.to_canonical(), IpAddr::V4(_)) {
            bytes[8..].fill(0);
        }
        Self::Address(bytes)
    }

    /// As headers and problems name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Organization(_) => "organization",
            Self::Hotkey(_) => "hotkey",
            Self::Address(_) => "address",
            Self::Crowd(name, ..) => name,
        }
    }

    fn limit(self, limits: Limits) -> u64 {
        match self.name() {
            "key" => limits.key_per_minute,
            "organization" => limits.organization_per_minute,
            "hotkey" => limits.hotkey_per_minute,
            _ => limits.address_per_minute,
        }
    }

    /// What it is called in the database.
    fn digest(self) -> [u8; 32] {
        let id = match self {
            Self::Key(id) => id.bytes().to_vec(),
            Self::Organization(id) => id.bytes().to_vec(),
            Self::Hotkey(hotkey) => hotkey.0.to_vec(),
            Self::Address(address) => address.to_vec(),
            Self::Crowd(_, shard, number) => vec![u8::try_from(shard).unwrap_or(u8::MAX), number],
        };
        let crowd = matches!(self, Self::Crowd(..));
        blake2b_256(&[b"violet/rate/1", self.name().as_bytes(), &[u8::from(crowd)], &id])
    }
}

/// The counters of this replica.
#[derive(Debug)]
pub struct Rates {
    limits: Limits,
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    known: Cache<u64, ()>,
    due: Notify,
    /// Told of each round of telling, whether it went well.
    rounds: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Shard {
    counters: HashMap<Subject, Counter>,
    /// The stretch in which old counters were last removed.
    swept: u64,
}

/// What the limits say to a request.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Whether it may go on; else how long not.
    pub refused: Option<(Subject, Duration)>,
    /// Where each of its subjects stands.
    pub standings: Vec<(Subject, Standing)>,
}

impl Admission {
    /// The problem, if there is one.
    ///
    /// # Errors
    /// 429 when a limit is reached.
    pub fn check(&self) -> Result<()> {
        let Some((subject, after)) = self.refused else {
            return Ok(());
        };
        metrics::counter!("violet_requests_refused_total", "limit" => subject.name()).increment(1);
        let whose = match subject.name() {
            "key" => "this key",
            "organization" => "the organisation",
            "hotkey" => "this hotkey",
            _ => "your address, without credentials that are valid,",
        };
        // Rounded up: who comes back too soon is refused again.
        let after = Duration::from_secs(after.as_secs() + u64::from(after.subsec_nanos() > 0));
        Err(Error::TooMany {
            reason: format!("{whose} has sent more requests than it may in a minute"),
            after,
        })
    }
}

impl Rates {
    /// With no requests so far.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            shards: Default::default(),
            hasher: RandomState::new(),
            known: Cache::builder()
                .max_capacity(MOST_KNOWN)
                .time_to_live(KNOWN)
                .build(),
            due: Notify::new(),
            rounds: watch::Sender::new(true),
        }
    }

    /// A number for an address with the credentials that it shows, whatever these are worth.
    pub fn hint(&self, address: IpAddr, credentials: &[&[u8]]) -> u64 {
        self.hasher.hash_one((Subject::address(address), credentials))
    }

    /// Whether somebody with this hint was recognised lately.
    pub fn knows(&self, hint: u64) -> bool {
        self.known.contains_key(&hint)
    }

    /// Somebody with this hint was recognised.
    pub async fn recognise(&self, hint: u64) {
        if !self.known.contains_key(&hint) {
            self.known.insert(hint, ()).await;
        }
    }

    fn number(&self, subject: Subject) -> usize {
        match subject {
            Subject::Crowd(_, number, _) => number,
            #[expect(clippy::cast_possible_truncation, reason = "a remainder is wanted")]
            _ => self.hasher.hash_one(subject) as usize % SHARDS,
        }
    }

    fn shard(&self, number: usize) -> MutexGuard<'_, Shard> {
        self.shards[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the counter of a subject, which may be one that it shares.
    fn with<R>(&self, subject: Subject, now: u64, work: impl FnOnce(&mut Counter) -> R) -> R {
        let number = self.number(subject);
        let mut shard = self.shard(number);
        let mut subject = subject;
        if shard.counters.len() >= MOST && !shard.counters.contains_key(&subject) {
            let stretch = now / STRETCH;
            if shard.swept < stretch {
                shard.swept = stretch;
                shard.counters.retain(|_, counter| !counter.is_over(now));
            }
            if shard.counters.len() >= MOST {
                let hash = self.hasher.hash_one((subject, "crowd"));
                let member = u8::try_from(hash % u64::from(CROWD)).unwrap_or(0);
                subject = Subject::Crowd(subject.name(), number, member);
            }
        }
        let counter = shard.counters.entry(subject).or_default();
        counter.turn(now);
        work(counter)
    }

    /// Counters that there are.
    pub fn size(&self) -> usize {
        (0..SHARDS).map(|number| self.shard(number).counters.len()).sum()
    }

    /// Whether a request of these subjects may go on; then it counts for each.
    pub async fn admit(&self, subjects: &[Subject], now: u64) -> Admission {
        let mut rounds = self.rounds.subscribe();
        let mut waits = true;
        loop {
            // Where the last round failed there is nothing to wait for.
            waits &= *rounds.borrow_and_update();
            let Some(admission) = self.try_admit(subjects, now, waits) else {
                self.due.notify_one();
                // A round that was under way may have told too little: then one more. Nobody waits for long.
                waits = tokio::time::timeout(PATIENCE, rounds.changed()).await.is_ok();
                continue;
            };
            return admission;
        }
    }

    /// `None` when the others have to be told first.
    fn try_admit(&self, subjects: &[Subject], now: u64, waits: bool) -> Option<Admission> {
        let mut admission = Admission {
            refused: None,
            standings: Vec::with_capacity(subjects.len()),
        };
        let mut must_tell = false;
        let mut counted = 0;
        for subject in subjects {
            let limit = subject.limit(self.limits);
            if limit == 0 {
                counted += 1;
                continue;
            }
            let (verdict, standing, is_due) = self.with(*subject, now, |counter| {
                let verdict = counter.verdict(limit, now);
                if verdict == Verdict::Within || (verdict == Verdict::TellFirst && !waits) {
                    counter.count();
                }
                (
                    verdict,
                    counter.standing(limit, now),
                    counter.is_due(limit, false),
                )
            });
            admission.standings.push((*subject, standing));
            if is_due {
                self.due.notify_one();
            }
            match verdict {
                Verdict::TellFirst if waits => must_tell = true,
                Verdict::Within | Verdict::TellFirst => {
                    counted += 1;
                    continue;
                }
                Verdict::Beyond(wait) => admission.refused = Some((*subject, wait)),
            }
            break;
        }
        if counted < subjects.len() {
            for subject in &subjects[..counted] {
                self.give_back(*subject, now, now);
            }
        }
        (!must_tell).then_some(admission)
    }

    /// Counts a request, whether it is within the limit or not.
    pub fn charge(&self, subject: Subject, now: u64) {
        let limit = subject.limit(self.limits);
        if limit != 0 {
            let is_due = self.with(subject, now, |counter| {
                counter.count();
                counter.is_due(limit, false)
            });
            if is_due {
                self.due.notify_one();
            }
        }
    }

    /// Takes back what a request counted for a subject at that time.
    pub fn give_back(&self, subject: Subject, counted_at: u64, now: u64) {
        if subject.limit(self.limits) != 0 {
            self.with(subject, now, |counter| counter.give_back(counted_at));
        }
    }

    /// Waits until there is something to tell.
    pub async fn due(&self) {
        self.due.notified().await;
    }

    /// What is to be told: much at any time, little now and then.
    fn untold(&self, all: bool) -> Vec<(Subject, u64, i64)> {
        let mut untold = Vec::new();
        for number in 0..SHARDS {
            for (subject, counter) in &mut self.shard(number).counters {
                if untold.len() < LARGEST && counter.is_due(subject.limit(self.limits), all) {
                    let (stretch, amount) = counter.tell();
                    untold.push((*subject, stretch, amount));
                }
            }
        }
        untold
    }
}

/// Tells the other replicas what was used here, and learns what they used.
///
/// # Errors
/// When the database does not answer; then it is told next time.
pub async fn share(app: &App, all: bool) -> Result<()> {
    let rates = &app.rates;
    let untold = rates.untold(all);
    let told = tell(app, &untold).await;
    for (subject, stretch, amount) in &untold {
        let mut shard = rates.shard(rates.number(*subject));
        let Some(counter) = shard.counters.get_mut(subject) else {
            continue;
        };
        match &told {
            Ok(totals) => {
                let total = totals.get(&subject.digest()[..]).copied();
                counter.was_told(*stretch, *amount, total.unwrap_or(0));
            }
            Err(_) => counter.was_not_told(*stretch, *amount),
        }
    }
    rates.rounds.send_replace(told.is_ok());
    told.map(|_| ())
}

/// What all replicas used, by subject.
async fn tell(app: &App, untold: &[(Subject, u64, i64)]) -> Result<HashMap<Vec<u8>, u64>> {
    if untold.is_empty() {
        return Ok(HashMap::new());
    }
    let subjects: Vec<Vec<u8>> = untold
        .iter()
        .map(|(subject, ..)| subject.digest().to_vec())
        .collect();
    let stretches: Vec<i64> = untold
        .iter()
        .map(|(_, stretch, _)| i64::try_from(*stretch).unwrap_or(i64::MAX))
        .collect();
    let amounts: Vec<i64> = untold.iter().map(|(.., amount)| *amount).collect();
    let totals = store::rates::add(&app.db, &subjects, &stretches, &amounts).await?;
    Ok(totals
        .into_iter()
        .map(|(subject, used)| (subject, u64::try_from(used).unwrap_or(0)))
        .collect())
}

/// Forgets what counts no more.
///
/// # Errors
/// When the database does not answer.
pub async fn forget(app: &App) -> Result<()> {
    let stretch = now(app) / STRETCH;
    let before = i64::try_from(stretch).unwrap_or(i64::MAX).saturating_sub(1);
    store::rates::delete_before(&app.db, before).await?;
    Ok(())
}

/// The time that all replicas count by.
pub fn now(app: &App) -> u64 {
    u64::try_from(app.clock.now().timestamp_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(address_per_minute: u64) -> Rates {
        Rates::new(Limits {
            key_per_minute: 10,
            organization_per_minute: 15,
            hotkey_per_minute: 0,
            address_per_minute,
        })
    }

    const NOW: u64 = 1000 * STRETCH;

    async fn through(rates: &Rates, subjects: &[Subject], asked: usize) -> usize {
        // Nobody is there to be told.
        rates.rounds.send_replace(false);
        let mut through = 0;
        for _ in 0..asked {
            through += usize::from(rates.admit(subjects, NOW).await.refused.is_none());
        }
        through
    }

    #[tokio::test]
    async fn what_one_limit_refuses_does_not_count_for_the_others() {
        let rates = rates(5);
        let organization = Subject::Organization(OrganizationId::new());
        let [one, two] = [ApiKeyId::new(), ApiKeyId::new()].map(Subject::Key);
        assert_eq!(through(&rates, &[one, organization], 100).await, 10);
        assert_eq!(through(&rates, &[two, organization], 100).await, 5);
        let refused = rates.admit(&[two, organization], NOW).await;
        assert_eq!(refused.refused.map(|(subject, _)| subject), Some(organization));
        // The key was given back what the organisation refused.
        assert_eq!(refused.standings[0].1.remaining, 4);
        assert_eq!(rates.admit(&[two], NOW).await.standings[0].1.remaining, 4);
        // Without a limit there is nothing to count.
        let hotkey = Subject::Hotkey(Hotkey([7; 32]));
        assert_eq!(through(&rates, &[hotkey], 1000).await, 1000);
        assert_eq!(rates.size(), 3);
    }

    #[tokio::test]
    async fn a_flood_of_addresses_takes_no_more_memory_and_pushes_nobody_out() {
        let rates = rates(2);
        let first = Subject::address([192, 0, 2, 1].into());
        assert_eq!(through(&rates, &[first], 3).await, 2);
        let mut refused = 0;
        for number in 0..300_000_u32 {
            let address = Subject::address(IpAddr::V4((0x0a00_0000 + number).into()));
            refused += usize::from(rates.admit(&[address], NOW).await.refused.is_some());
        }
        let most = SHARDS * (MOST + usize::from(CROWD));
        assert!(rates.size() <= most, "{}", rates.size());
        assert!(
            refused > 300_000 - most - 2 * SHARDS * usize::from(CROWD),
            "{refused}"
        );
        assert_eq!(through(&rates, &[first], 3).await, 0);
        // When the flood is over there is room again.
        let later = NOW + 5 * STRETCH;
        for number in 0..1000_u32 {
            let address = Subject::address(IpAddr::V4((0x0b00_0000 + number).into()));
            assert!(rates.admit(&[address], later).await.refused.is_none());
        }
    }

    #[test]
    fn an_address_of_ipv6_counts_as_its_network() {
        let subject = |text: &str| Subject::address(text.parse().expect("an address"));
        assert_eq!(subject("2001:db8::1"), subject("2001:db8::ffff:2"));
        assert_ne!(subject("2001:db8::1"), subject("2001:db8:0:1::1"));
        assert_eq!(subject("192.0.2.1"), subject("::ffff:192.0.2.1"));
        assert_ne!(subject("192.0.2.1"), subject("192.0.2.2"));
    }
}
