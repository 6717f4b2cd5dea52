//! What a server that lies can sign, and what of it is found. Each lie is the only one in its receipt.
use serde_json::{Value, json};
use violet::domain::{
    TaskState, TaskType,
    records::{Record, Settlement},
    task::Reason,
};
use violet_chain::Hotkey;

use super::{
    assert_broken, check,
    forgery::{Forgery, sign_again},
    publish, receipt, settled,
};
use crate::harness::{BAD, GOOD, World, keypair, signature_text};

/// The receipt of a settled task with everything in it, and the same signed anew.
async fn whole(world: &World) -> (Value, Forgery) {
    let (user, task) = settled(world).await;
    publish(world).await;
    let receipt = receipt(&user, &task).await;
    let forgery = Forgery::of(&receipt);
    // What is refused below is refused for the lie and not for the signing.
    for sound in [&receipt, &forgery.with(|_| {})] {
        let report = check(sound);
        assert!(report.is_sound(), "{report:?}");
    }
    (receipt, forgery)
}

/// A lie, and the words that name it.
type Lie<'a, T> = (&'static str, Box<dyn Fn(&mut T) + 'a>);

fn lies_about_a_draw<'a>(chosen: &'a [u16], not_chosen: &'a [u16]) -> Vec<Lie<'a, Forgery>> {
    vec![
        (
            "computed anew",
            Box::new(|it| it.draw(0).chosen[0] = not_chosen[0]),
        ),
        ("computed anew", Box::new(|it| it.draw(0).chosen.reverse())),
        ("computed anew", Box::new(|it| _ = it.draw(0).chosen.pop())),
        ("chose candidates", Box::new(|it| it.draw(0).chosen[0] = 99)),
        (
            "chose candidates",
            Box::new(|it| it.draw(0).chosen[1] = chosen[0]),
        ),
        (
            "draw 1 chose candidates",
            Box::new(|it| it.draw(1).chosen[0] = chosen[0]),
        ),
        (
            "chose candidates",
            Box::new(|it| it.draw(0).skipped = vec![chosen[0]]),
        ),
        ("chose candidates", Box::new(|it| it.draw(0).slots.truncate(1))),
        ("chose candidates", Box::new(|it| it.draw(0).slots = vec![0, 0])),
        (
            "skipped candidates only",
            Box::new(|it| it.draw(0).skipped = vec![99]),
        ),
        (
            "skipped candidates only",
            Box::new(|it| it.draw(0).skipped = vec![not_chosen[1], not_chosen[0]]),
        ),
        ("draw 0 is this task's", Box::new(|it| it.draw(0).netuid = 2)),
        ("draw 0 is this task's", Box::new(|it| it.draw(0).task[0] ^= 1)),
        (
            "draw 0 is this task's",
            Box::new(|it| it.draw(0).request.0[0] ^= 1),
        ),
        (
            "draw 0 is this task's",
            Box::new(|it| it.draw(0).client_entropy = false),
        ),
        ("draw 1 is this task's", Box::new(|it| it.draw(1).draw = 2)),
        ("draw 0 is this task's", Box::new(|it| _ = it.records.remove(0))),
        ("draw 1 names", Box::new(|it| it.draw(1).candidate_set.0[0] ^= 1)),
        ("draw 0 names", Box::new(|it| it.draw(0).base.0[0] ^= 1)),
        ("one settlement after them", Box::new(|it| it.records.swap(1, 2))),
        (
            "one settlement after them",
            Box::new(|it| it.records.push(it.records[2].clone())),
        ),
        (
            "one settlement after them",
            Box::new(|it| it.records.push(it.named[0].clone())),
        ),
        (
            "rules, bases and candidate sets",
            Box::new(|it| it.named.push(it.records[0].clone())),
        ),
    ]
}

#[tokio::test]
async fn lies_about_a_draw_are_found() {
    let world = World::start().await;
    let (_, truth) = whole(&world).await;
    let chosen = truth.clone().draw(0).chosen.clone();
    let not_chosen: Vec<u16> = (0..5).filter(|uid| !chosen.contains(uid)).collect();

    let lies = lies_about_a_draw(&chosen, &not_chosen);
    for (word, lie) in &lies {
        assert_broken(&truth.with(lie), word);
    }
    // The choice must be possible before the base is known, too.
    let early = truth.with(|it| {
        it.receipt["revealed"] = json!([]);
        it.draw(0).chosen[0] = 99;
    });
    assert_broken(&early, "draw 0 chose candidates");
    world.end().await;
}

#[tokio::test]
async fn what_the_weights_are_made_of_decides_the_draw() {
    let world = World::start().await;
    let (_, truth) = whole(&world).await;
    let (_, set, _) = truth.first();
    let chosen = truth.clone().draw(0).chosen.clone();
    let not_chosen: Vec<u16> = (0..5).filter(|uid| !chosen.contains(uid)).collect();
    // Who was skipped is said by the server; that it is left out is not.
    let decided = (0..1000u32).map(|number| number.to_string()).find(|entropy| {
        let honest = truth.drawn_anew(entropy, &[]).draw(0).chosen.clone();
        honest[0] == chosen[0]
    });
    let entropy = decided.expect("one request in a thousand draws this miner first");
    let skipping = truth.drawn_anew(&entropy, &[chosen[0]]);
    assert_eq!(check(&skipping.with(|_| {})).broken, [""; 0]);
    assert_broken(&skipping.with(|it| it.draw(0).skipped.clear()), "computed anew");

    // Stake, performance, places: a request whose draw they decide.
    for change in 0..3 {
        let uid = usize::from(not_chosen[0]);
        let changed = |it: &mut Forgery| {
            it.change_sets(|set| match change {
                0 => set.candidates[uid].stake = u64::MAX,
                1 => set.candidates[uid].performance = 1_000_000,
                _ => set.candidates[uid].free = 1,
            });
        };
        assert_ne!(set.candidates[uid].free, 1);
        let decided = (0..1000u32).find_map(|number| {
            let entropy = number.to_string();
            let mut honest = truth.drawn_anew(&entropy, &[]);
            let mut other = honest.clone();
            changed(&mut other);
            let differs = other.drawn_anew(&entropy, &[]).draw(0).chosen != honest.draw(0).chosen;
            differs.then_some(honest)
        });
        let honest = decided.expect("one request in a thousand is drawn otherwise");
        assert_eq!(check(&honest.with(|_| {})).broken, [""; 0]);
        assert_broken(&honest.with(changed), "computed anew");
    }
    world.end().await;
}

#[tokio::test]
async fn lies_about_what_a_draw_rests_on_are_found() {
    let world = World::start().await;
    let (_, truth) = whole(&world).await;
    let sets =
        |change: fn(&mut violet::domain::records::CandidateSet)| truth.with(|it| it.change_sets(change));
    let rules = |change: fn(&mut violet::domain::routing::Rule)| truth.with(|it| it.change_rules(change));
    let bases = |change: fn(&mut violet::domain::records::Base)| truth.with(|it| it.change_bases(change));
    for (lie, word) in [
        (sets(|set| set.candidates.swap(0, 1)), "in uid order, each once"),
        (sets(|set| set.candidates[1].uid = 0), "in uid order, each once"),
        (
            sets(|set| set.candidates[1].hotkey = set.candidates[0].hotkey),
            "each once",
        ),
        (sets(|set| set.candidates[0].free = 0), "within the rule"),
        (
            sets(|set| set.candidates[0].free = set.candidates[0].capacity + 1),
            "within the rule",
        ),
        (sets(|set| set.candidates[0].capacity = 33), "within the rule"),
        (
            sets(|set| set.candidates[0].performance = 1_000_001),
            "within the rule",
        ),
        (sets(|set| set.block += 2), "the snapshot of block"),
        (sets(|set| set.netuid = 2), "the snapshot of block"),
        (
            rules(|rule| rule.name = "stake-mix/2".into()),
            "is not stake-mix/1",
        ),
        (rules(|rule| rule.stake += 1), "add up to"),
        (rules(|rule| rule.netuid = 2), "the snapshot of block"),
        (rules(|rule| rule.capacity_limit = 1), "within the rule"),
        (bases(|base| base.block += 2), "the snapshot of block"),
        (bases(|base| base.netuid = 2), "the snapshot of block"),
        (bases(|base| base.commitment.0[0] ^= 1), "VRF of its hash"),
        (bases(|base| base.block_hash.0[0] ^= 1), "VRF of its hash"),
        (
            bases(|base| base.server = keypair(7).hotkey()),
            "the key that signed",
        ),
        (truth.with(|it| it.make_bases(7, None)), "the key that signed"),
        (truth.with(|it| it.named.clear()), "draw 0 names"),
    ] {
        assert_broken(&lie, word);
    }
    let other_capability = truth.with(|it| {
        let Record::CandidateSet(mut set) = it
            .named
            .iter()
            .find(|one| matches!(one, Record::CandidateSet(_)))
            .unwrap()
            .clone()
        else {
            panic!("not a set")
        };
        set.capability.task_type = TaskType::Summarization;
        let other = Record::CandidateSet(set);
        it.draw(1).candidate_set = other.digest();
        it.named.push(other);
    });
    assert_broken(&other_capability, "draw 1 is for the same capability");
    // What nobody can tell from a receipt is said: a block of another hash has another base.
    let mut fake = truth.clone();
    fake.make_bases(crate::harness::SERVER, Some([9; 32]));
    let report = check(&fake.drawn_anew("some-entropy", &[]).with(|_| {}));
    let hash = "09".repeat(32);
    assert!(report.open.iter().any(|what| what.contains(&hash)), "{report:?}");
    world.end().await;
}

/// Who decides: the place of the validator with more than half of the stake.
fn majority(end: &Settlement) -> usize {
    let heaviest = end
        .evaluations
        .iter()
        .enumerate()
        .max_by_key(|(_, one)| one.stake);
    heaviest.expect("three judged").0
}

fn lies_about_the_end(stranger: Hotkey) -> Vec<Lie<'static, Settlement>> {
    vec![
        ("the settlement is this task's", Box::new(|end| end.netuid = 2)),
        ("the settlement is this task's", Box::new(|end| end.task[0] ^= 1)),
        (
            "the consensus",
            Box::new(|end| end.answers[0].consensus = Some(GOOD + 1)),
        ),
        ("the consensus", Box::new(|end| end.answers[0].consensus = None)),
        (
            "the outcome (rejected)",
            Box::new(|end| end.outcome = TaskState::Rejected),
        ),
        (
            "the outcome (failed)",
            Box::new(|end| end.outcome = TaskState::Failed),
        ),
        (
            "the outcome (approved)",
            Box::new(|end| end.reason = Some(Reason::Quorum)),
        ),
        ("the outcome (approved)", Box::new(|end| end.threshold = GOOD + 1)),
        (
            "the outcome (done)",
            Box::new(|end| {
                end.outcome = TaskState::Done;
                end.reason = Some(Reason::Abstained);
                end.answers.iter_mut().for_each(|answer| answer.consensus = None);
            }),
        ),
        (
            "the outcome (approved)",
            Box::new(move |end| _ = end.evaluations.remove(majority(end))),
        ),
        ("the outcome (approved)", Box::new(|end| end.eligible_stake *= 3)),
        ("no more stake", Box::new(|end| end.eligible_stake -= 1)),
        ("no more stake", Box::new(|end| end.evaluations[0].stake += 1)),
        (
            "signed by its validator",
            Box::new(|end| end.evaluations[0].scores[0] = Some(GOOD - 1)),
        ),
        (
            "signed by its validator",
            Box::new(|end| end.evaluations[0].hotkey = keypair(90).hotkey()),
        ),
        (
            "signed by its miner",
            Box::new(|end| end.answers[0].digest.0[0] ^= 1),
        ),
        (
            "only miners that were drawn",
            Box::new(move |end| {
                end.answers[0].hotkey = stranger;
                sign_again(end);
            }),
        ),
        (
            "nobody answers twice",
            Box::new(|end| {
                end.answers[1] = end.answers[0].clone();
                sign_again(end);
            }),
        ),
        (
            "nobody judges twice",
            Box::new(|end| end.evaluations[1] = end.evaluations[0].clone()),
        ),
        ("nobody judges twice", Box::new(|end| end.evaluations.swap(0, 1))),
        // The validator with more than half of the stake decides; without its score others would.
        (
            "the consensus",
            Box::new(move |end| {
                let heaviest = majority(end);
                end.evaluations[heaviest].scores[0] = Some(BAD);
                sign_again(end);
            }),
        ),
        (
            "the consensus",
            Box::new(move |end| {
                let heaviest = majority(end);
                end.evaluations[heaviest].stake = 1;
                let other = (heaviest + 1) % 3;
                end.evaluations[other].scores[0] = Some(BAD);
                end.evaluations[(heaviest + 2) % 3].scores[0] = Some(BAD);
                sign_again(end);
            }),
        ),
    ]
}

#[tokio::test]
async fn lies_about_the_end_are_found() {
    let world = World::start().await;
    let (_, truth) = whole(&world).await;
    let (_, set, _) = truth.first();
    let stranger = set.candidates.iter().map(|one| one.hotkey).find(|hotkey| {
        let mut all = truth.clone();
        let drawn = [all.draw(0).chosen.clone(), all.draw(1).chosen.clone()].concat();
        !drawn
            .iter()
            .any(|uid| set.candidates[usize::from(*uid)].hotkey == *hotkey)
    });
    let stranger = stranger.expect("of five candidates three were drawn");
    let lies = lies_about_the_end(stranger);
    for (word, lie) in &lies {
        assert_broken(&truth.with(|it| lie(it.settlement())), word);
    }
    // What neurons signed anew without a lie is sound: the helper is no reason to refuse.
    let again = truth.with(|it| sign_again(it.settlement()));
    assert!(check(&again).is_sound());
    world.end().await;
}

#[tokio::test]
async fn lies_around_the_records_are_found() {
    let world = World::start().await;
    let (receipt, truth) = whole(&world).await;
    let signed = truth.with(|_| {});
    let changed = |pointer: &str, value: Value| {
        let mut other = signed.clone();
        *other.pointer_mut(pointer).expect(pointer) = value;
        other
    };
    let body = signed["records"][0]["body"].as_str().unwrap();
    let path = signed["records"][1]["proof"]["path"].clone();
    let hotkey = json!(keypair(7).hotkey());
    for (lie, word) in [
        (changed("/records/0/proof/path", path), "signed batch"),
        (changed("/records/0/proof/path", json!([])), "signed batch"),
        (changed("/records/0/proof/path/0", json!("zz")), "signed batch"),
        (changed("/records/0/proof/leaf_index", json!(1)), "signed batch"),
        (
            changed("/records/0/proof/leaf_index", json!(4_000_000_000_u32)),
            "signed batch",
        ),
        (changed("/records/0/proof/size", json!(0)), "signed batch"),
        (changed("/records/0/proof/size", json!(7)), "signed by the server"),
        (
            changed("/records/0/proof/batch_id", receipt["task_id"].clone()),
            "signed by the server",
        ),
        (
            changed(
                "/records/0/proof/signature",
                json!(signature_text(&keypair(7).sign(b"it"))),
            ),
            "signed by the server",
        ),
        (
            changed("/records/0/proof/signature", json!("0x")),
            "signed by the server",
        ),
        (
            changed("/named/0/proof/server", hotkey),
            "one hotkey signed them all",
        ),
        (
            changed("/records/0/body", json!(body[..body.len() - 2])),
            "canonical SCALE",
        ),
        (
            changed("/records/0/body", json!(format!("{body}00"))),
            "canonical SCALE",
        ),
        (changed("/records/0/decoded/chosen/0", json!(99)), "shown"),
        (changed("/records/0/digest", json!("00")), "shown"),
        (changed("/named/0/kind", json!("draw")), "shown"),
        (changed("/request/netuid", json!(2)), "draw 0 is this task's"),
        (
            changed("/request/account", receipt["task_id"].clone()),
            "draw 0 is this task's",
        ),
        (
            changed("/task_id", receipt["request"]["account"].clone()),
            "draw 0 is this task's",
        ),
        (
            changed("/revealed/0/proof", json!("11".repeat(64))),
            "VRF of its hash",
        ),
        (
            changed("/revealed/0/preout", json!("11".repeat(32))),
            "VRF of its hash",
        ),
        // Records of two keys, each rightly signed.
        (
            {
                let mut mixed = signed.clone();
                mixed["named"] = truth.signed_by(7)["named"].clone();
                mixed
            },
            "one hotkey signed them all",
        ),
        // All of it by another key, which made no base.
        (truth.signed_by(7), "the key that signed"),
    ] {
        assert_broken(&lie, word);
    }
    world.end().await;
}
