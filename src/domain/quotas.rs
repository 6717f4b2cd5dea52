//! How much an organisation may use: tasks at the same time, and in a day tasks, characters and seconds of sound.
//!
//! A day is one of UTC.

/// The settings. 0: as much as it likes.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Quotas {
    pub concurrent_tasks: u32,
    pub daily_tasks: u32,
    pub daily_characters: u32,
    pub daily_audio_seconds: u32,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quota {
    /// Tasks that have not ended.
    ConcurrentTasks,
    /// Tasks of a day.
    DailyTasks,
    /// Characters of texts of a day.
    DailyCharacters,
    /// Seconds of sound of a day.
    DailyAudioSeconds,
}

impl Quota {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ConcurrentTasks,
        Self::DailyTasks,
        Self::DailyCharacters,
        Self::DailyAudioSeconds,
    ];

    /// Its name on the wire, in the settings, and of the column that replaces the setting for one organisation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConcurrentTasks => "concurrent_tasks",
            Self::DailyTasks => "daily_tasks",
            Self::DailyCharacters => "daily_characters",
            Self::DailyAudioSeconds => "daily_audio_seconds",
        }
    }

    /// What is counted, for people.
    pub const fn what(self) -> &'static str {
        match self {
            Self::ConcurrentTasks => "tasks at the same time",
            Self::DailyTasks => "tasks a day",
            Self::DailyCharacters => "characters a day",
            Self::DailyAudioSeconds => "seconds of sound a day",
        }
    }
}

/// An amount of each: what is used, what is wanted, or how much there may be. Sound is in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named like the quotas")]
pub struct Amounts {
    pub concurrent_tasks: i64,
    pub daily_tasks: i64,
    pub daily_characters: i64,
    pub daily_audio_millis: i64,
}

impl From<Quotas> for Amounts {
    fn from(quotas: Quotas) -> Self {
        let most = |setting: u32| match setting {
            0 => i64::MAX,
            setting => i64::from(setting),
        };
        Self {
            concurrent_tasks: most(quotas.concurrent_tasks),
            daily_tasks: most(quotas.daily_tasks),
            daily_characters: most(quotas.daily_characters),
            daily_audio_millis: most(quotas.daily_audio_seconds).saturating_mul(1000),
        }
    }
}

impl Amounts {
    /// What one task uses.
    pub fn of_task(characters: u64, audio_millis: u64) -> Self {
        let signed = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
        Self {
            concurrent_tasks: 1,
            daily_tasks: 1,
            daily_characters: signed(characters),
            daily_audio_millis: signed(audio_millis),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            concurrent_tasks: self.concurrent_tasks.saturating_add(other.concurrent_tasks),
            daily_tasks: self.daily_tasks.saturating_add(other.daily_tasks),
            daily_characters: self.daily_characters.saturating_add(other.daily_characters),
            daily_audio_millis: self.daily_audio_millis.saturating_add(other.daily_audio_millis),
        }
    }

    /// How much of one quota, in what that counts; a begun second is a second.
    pub fn of(self, quota: Quota) -> i64 {
        match quota {
            Quota::ConcurrentTasks => self.concurrent_tasks,
            Quota::DailyTasks => self.daily_tasks,
            Quota::DailyCharacters => self.daily_characters,
            Quota::DailyAudioSeconds if self.daily_audio_millis == i64::MAX => i64::MAX,
            Quota::DailyAudioSeconds => {
                self.daily_audio_millis / 1000 + i64::from(self.daily_audio_millis % 1000 > 0)
            }
        }
    }

    /// The first quota in which this is more than `limits`.
    pub fn beyond(self, limits: Self) -> Option<Quota> {
        [
            (
                Quota::ConcurrentTasks,
                self.concurrent_tasks > limits.concurrent_tasks,
            ),
            (Quota::DailyTasks, self.daily_tasks > limits.daily_tasks),
            (
                Quota::DailyCharacters,
                self.daily_characters > limits.daily_characters,
            ),
            (
                Quota::DailyAudioSeconds,
                self.daily_audio_millis > limits.daily_audio_millis,
            ),
        ]
        .into_iter()
        .find_map(|(quota, beyond)| beyond.then_some(quota))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_a_limit_is_within_and_one_more_is_not() {
        let limits = Amounts::from(Quotas {
            concurrent_tasks: 2,
            daily_tasks: 3,
            daily_characters: 0,
            daily_audio_seconds: 10,
        });
        let used = Amounts {
            concurrent_tasks: 2,
            daily_tasks: 3,
            daily_characters: i64::MAX,
            daily_audio_millis: 10_000,
        };
        assert_eq!(used.beyond(limits), None);
        for (more, quota) in [
            (
                Amounts {
                    concurrent_tasks: 1,
                    ..Amounts::default()
                },
                Some(Quota::ConcurrentTasks),
            ),
            (
                Amounts {
                    daily_tasks: 1,
                    ..Amounts::default()
                },
                Some(Quota::DailyTasks),
            ),
            (
                Amounts {
                    daily_characters: 1,
                    ..Amounts::default()
                },
                None,
            ),
            (
                Amounts {
                    daily_audio_millis: 1,
                    ..Amounts::default()
                },
                Some(Quota::DailyAudioSeconds),
            ),
        ] {
            assert_eq!(used.plus(more).beyond(limits), quota);
        }
        assert_eq!(used.plus(Amounts::of_task(0, 1)).of(Quota::DailyAudioSeconds), 11);
        assert_eq!(limits.of(Quota::DailyCharacters), i64::MAX);
    }
}
