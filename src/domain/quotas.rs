//! How much an organisation may use: tasks at the same time, stored bytes, and in a day tasks, characters and seconds of
//! sound.
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
    pub stored_bytes: u64,
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
    /// Bytes of all files.
    StoredBytes,
}

impl Quota {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ConcurrentTasks,
        Self::DailyTasks,
        Self::DailyCharacters,
        Self::DailyAudioSeconds,
        Self::StoredBytes,
    ];

    /// Its name on the wire, in the settings, and of the column that replaces the setting for one organisation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConcurrentTasks => "concurrent_tasks",
            Self::DailyTasks => "daily_tasks",
            Self::DailyCharacters => "daily_characters",
            Self::DailyAudioSeconds => "daily_audio_seconds",
            Self::StoredBytes => "stored_bytes",
        }
    }

    /// What is counted, for people.
    pub const fn what(self) -> &'static str {
        match self {
            Self::ConcurrentTasks => "tasks at the same time",
            Self::DailyTasks => "tasks a day",
            Self::DailyCharacters => "characters a day",
            Self::DailyAudioSeconds => "seconds of sound a day",
            Self::StoredBytes => "bytes of files",
        }
    }

    /// Whether it begins anew each day.
    pub const fn is_daily(self) -> bool {
        !matches!(self, Self::ConcurrentTasks | Self::StoredBytes)
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
    pub stored_bytes: i64,
}

impl From<Quotas> for Amounts {
    fn from(quotas: Quotas) -> Self {
        let most = |setting: u64| match setting {
            0 => i64::MAX,
            setting => i64::try_from(setting).unwrap_or(i64::MAX),
        };
        Self {
            concurrent_tasks: most(quotas.concurrent_tasks.into()),
            daily_tasks: most(quotas.daily_tasks.into()),
            daily_characters: most(quotas.daily_characters.into()),
            daily_audio_millis: most(quotas.daily_audio_seconds.into()).saturating_mul(1000),
            stored_bytes: most(quotas.stored_bytes),
        }
    }
}

impl Amounts {
    /// What one task uses.
    pub fn of_task(characters: u64, audio_millis: u64, stored_bytes: u64) -> Self {
        let signed = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
        Self {
            concurrent_tasks: 1,
            daily_tasks: 1,
            daily_characters: signed(characters),
            daily_audio_millis: signed(audio_millis),
            stored_bytes: signed(stored_bytes),
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
            stored_bytes: self.stored_bytes.saturating_add(other.stored_bytes),
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
            Quota::StoredBytes => self.stored_bytes,
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
            (Quota::StoredBytes, self.stored_bytes > limits.stored_bytes),
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
            stored_bytes: 1000,
        });
        let used = Amounts {
            concurrent_tasks: 2,
            daily_tasks: 3,
            daily_characters: i64::MAX,
            daily_audio_millis: 10_000,
            stored_bytes: 1000,
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
            (
                Amounts {
                    stored_bytes: 1,
                    ..Amounts::default()
                },
                Some(Quota::StoredBytes),
            ),
        ] {
            assert_eq!(used.plus(more).beyond(limits), quota);
        }
        assert_eq!(
            used.plus(Amounts::of_task(0, 1, 0)).of(Quota::DailyAudioSeconds),
            11
        );
        assert_eq!(limits.of(Quota::DailyCharacters), i64::MAX);
    }
}
