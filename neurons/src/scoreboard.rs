//! What a validator thinks of each miner: an average of the scores that it gave, over tasks.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use violet_chain::Hotkey;

/// About so many of the last tasks count.
const TASKS: u32 = 100;

/// Averages by hotkey. Nothing outlives the process: a validator that begins anew forms its opinion anew.
#[derive(Debug, Default)]
pub(crate) struct Scoreboard {
    averages: Mutex<HashMap<Hotkey, Average>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Average {
    mean: f64,
    tasks: u32,
}

impl Scoreboard {
    /// Notes a score, a part of 65535.
    pub(crate) fn add(&self, hotkey: Hotkey, score: u16) {
        let mut averages = self.averages();
        let average = averages.entry(hotkey).or_default();
        average.tasks = (average.tasks + 1).min(TASKS);
        average.mean += (f64::from(score) - average.mean) / f64::from(average.tasks);
    }

    /// The averages of the hotkeys that are still there; the others are forgotten.
    pub(crate) fn of<T>(&self, place: impl Fn(&Hotkey) -> Option<T>) -> Vec<(T, f64)> {
        let mut averages = self.averages();
        let mut there = Vec::new();
        averages.retain(|hotkey, average| {
            let place = place(hotkey);
            let stays = place.is_some();
            there.extend(place.map(|place| (place, average.mean)));
            stays
        });
        there
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.averages().is_empty()
    }

    fn averages(&self) -> MutexGuard<'_, HashMap<Hotkey, Average>> {
        self.averages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINER: Hotkey = Hotkey([1; 32]);

    fn mean(board: &Scoreboard) -> f64 {
        board.of(|hotkey| (*hotkey == MINER).then_some(()))[0].1
    }

    #[test]
    fn scores_are_averaged_and_old_ones_fade() {
        let board = Scoreboard::default();
        for score in [0, 600, 300] {
            board.add(MINER, score);
        }
        assert!((mean(&board) - 300.0).abs() < 1e-9);
        for _ in 0..10 * TASKS {
            board.add(MINER, 1_000);
        }
        assert!((mean(&board) - 1_000.0).abs() < 1.0, "{}", mean(&board));
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let board = Scoreboard::default();
        board.add(MINER, 5);
        board.add(Hotkey([2; 32]), 7);
        assert_eq!(board.of(|hotkey| (*hotkey == MINER).then_some(3)), [(3, 5.0)]);
        assert!(board.of(|hotkey| (*hotkey != MINER).then_some(4)).is_empty());
        assert!(board.is_empty());
    }
}
