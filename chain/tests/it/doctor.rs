//! The verdict on runtimes as they were, and as an upgrade may make them.

use codec::Encode as _;
use scale_info::TypeDefPrimitive;
use scale_info::form::PortableForm;
use scale_info::{Field, Variant};
use subxt::ext::frame_metadata::v15::{StorageEntryType, StorageHasher};
use violet_chain::surface::{Report, Surface, Way};

use crate::harness::metadata::{Fixture, field, fixture};
use crate::harness::node::answer_of;

const SPECS: [u32; 3] = [365, 424, 461];

fn check(metadata: &Fixture) -> Report {
    Surface::bundled().check_metadata(&metadata.bytes()).unwrap()
}

fn problems(report: &Report) -> Vec<String> {
    report.problems().map(ToString::to_string).collect()
}

fn vital(report: &Report) -> Vec<&str> {
    report.vital().map(|finding| finding.item.as_str()).collect()
}

#[test]
fn runtimes_of_a_year_have_all_that_is_read() {
    for spec in SPECS {
        let report = check(&fixture(spec));
        assert_eq!(report.spec_version, spec);
        assert_eq!(report.ways(), Way::ALL, "{report}");
        assert!(report.is_ok(), "{report}");
        let expected: &[&str] = if spec == 365 {
            &[
                "MISSING  SubtensorModule.SubnetEpochIndex (the epoch of a commit is unknown)",
                "MISSING  SubtensorModule.LastEpochBlock (the time at which timelocked weights are opened is reckoned \
                 too late or too early)",
                "MISSING  SubtensorModule.PendingEpochAt (the time at which timelocked weights are opened is reckoned \
                 too late or too early)",
                "MISSING  SubnetInfoRuntimeApi.get_subnet_hyperparams_v3 (hyperparameters by version 2, with fewer names)",
            ]
        } else {
            &[]
        };
        assert_eq!(problems(&report), expected, "{spec}");
    }
}

#[test]
fn each_item_that_goes_is_missed_by_name() {
    for spec in SPECS {
        for item in Surface::bundled().storage {
            let report = check(&fixture(spec).without_entry(&item.entry));
            let name = format!("{}.{}", item.pallet, item.entry);
            let line = format!("MISSING  {name} ({})", item.without);
            assert!(problems(&report).contains(&line), "{report}");
            // What only a fallback needs is not vital while the first way is whole.
            let needed = item.ways.is_empty() && item.required;
            assert_eq!(report.is_ok(), !needed, "{report}");
            assert_eq!(vital(&report).contains(&name.as_str()), needed);
            for way in Way::ALL {
                assert_eq!(report.ways().contains(&way), !item.ways.contains(&way), "{name}");
            }
        }
        for item in Surface::bundled().api {
            let report = check(&fixture(spec).without_api(&item.method));
            let line = format!("MISSING  {}.{} ({})", item.r#trait, item.method, item.without);
            assert!(problems(&report).contains(&line), "{report}");
            assert_eq!(
                report.is_ok(),
                !(item.ways.is_empty() && item.required),
                "{report}"
            );
        }
    }
}

/// What writing needs goes by name too, and a snapshot is read all the same.
#[test]
fn each_item_of_writing_that_goes_is_missed_by_name() {
    let surface = Surface::bundled();
    for spec in SPECS {
        let mut gone = Vec::new();
        for item in &surface.constant {
            // Without its version metadata cannot be read at all.
            if item.constant != "Version" {
                let without = fixture(spec).without_constant(&item.constant);
                gone.push((
                    without,
                    format!("{}.{}", item.pallet, item.constant),
                    &item.without,
                ));
            }
        }
        for item in &surface.call {
            let without = fixture(spec).without_variant(&item.pallet, &item.call);
            gone.push((without, format!("{}.{}", item.pallet, item.call), &item.without));
        }
        for item in &surface.event {
            let without = fixture(spec).without_variant(&item.pallet, &item.event);
            gone.push((without, format!("{}.{}", item.pallet, item.event), &item.without));
        }
        for item in &surface.error {
            for error in &item.errors {
                let without = fixture(spec).without_variant(&item.pallet, error);
                gone.push((without, format!("{}.{error}", item.pallet), &item.without));
            }
        }
        for item in &surface.extension {
            let without = fixture(spec).without_extension(&item.extension);
            gone.push((without, item.extension.clone(), &item.without));
        }
        for (metadata, name, lost) in gone {
            let report = check(&metadata);
            assert!(
                problems(&report).contains(&format!("MISSING  {name} ({lost})")),
                "{report}"
            );
            assert!(report.is_ok(), "{name}");
        }
    }
}

#[test]
fn a_call_that_asks_for_something_else_is_changed() {
    let mut metadata = fixture(461);
    let word = metadata.primitive(TypeDefPrimitive::U32);
    let call = metadata.variants("Call").iter_mut();
    let call = call.into_iter().find(|call| call.name == "serve_axon").unwrap();
    call.fields.swap(0, 1);
    assert_eq!(problems(&check(&metadata)), [""; 0], "they are given by name");
    let call = metadata.variants("Call").iter_mut();
    let call = call.into_iter().find(|call| call.name == "serve_axon").unwrap();
    call.fields.push(field("colour", word));
    let report = check(&metadata);
    let problems = problems(&report);
    assert_eq!(problems.len(), 1, "{report}");
    assert!(
        problems[0].starts_with("CHANGED  SubtensorModule.serve_axon: (colour u32, ip u128, "),
        "{report}"
    );
    assert!(problems[0].ends_with("(no axon can be served)"), "{report}");
}

#[test]
fn an_extension_that_is_unknown_must_carry_nothing() {
    let mut metadata = fixture(461);
    let word = metadata.primitive(TypeDefPrimitive::U32);
    let nothing = metadata.0.extrinsic.address_ty.id;
    let empty = metadata.clone().with_extension("CheckNothing", nothing, nothing);
    assert_eq!(problems(&check(&empty)), [""; 0]);
    let lost = "nothing can be written: extrinsics are signed over something unknown";
    for (extra, implicit, found) in [
        (word, nothing, "u32, () signed"),
        (nothing, word, "(), u32 signed"),
    ] {
        let report = check(
            &metadata
                .clone()
                .with_extension("ChargeSomething", extra, implicit),
        );
        let line = format!("CHANGED  ChargeSomething: {found} instead of (), () signed ({lost})");
        assert_eq!(problems(&report), [line]);
        assert!(report.is_ok());
    }
    // One that is known and carries something else.
    let mut metadata = metadata.without_extension("CheckNonce");
    let long = metadata.primitive(TypeDefPrimitive::U64);
    let report = check(&metadata.with_extension("CheckNonce", long, nothing));
    assert_eq!(
        problems(&report),
        ["CHANGED  CheckNonce: u64, () signed instead of u32, () signed (extrinsics are signed without it)"]
    );
    let mut metadata = fixture(461);
    metadata.0.extrinsic.version = 5;
    let report = check(&metadata);
    assert_eq!(
        problems(&report),
        [format!("MISSING  extrinsic version 4 ({lost})")]
    );
}

#[test]
fn ways_give_out_one_after_the_other() {
    let mut metadata = fixture(461);
    for (gone, left) in [
        ("get_selective_metagraph", &Way::ALL[1..]),
        ("get_metagraph", &Way::ALL[2..]),
        ("get_neurons_lite", &Way::ALL[3..]),
    ] {
        metadata = metadata.without_api(gone);
        let report = check(&metadata);
        assert_eq!(report.ways(), left);
        assert!(report.is_ok(), "{report}");
    }
    let report = check(&metadata.without_entry("SubnetworkN"));
    assert!(!report.is_ok());
    assert_eq!(
        vital(&report),
        [
            "SubtensorModule.SubnetworkN",
            "SubnetInfoRuntimeApi.get_selective_metagraph",
            "SubnetInfoRuntimeApi.get_metagraph",
            "NeuronInfoRuntimeApi.get_neurons_lite",
        ]
    );
    let text = report.to_string();
    assert!(
        text.contains("a metagraph cannot be read in any way\nVITAL: 4 gone or changed: "),
        "{text}"
    );
}

#[test]
fn what_is_retyped_is_changed() {
    let mut metadata = fixture(461);
    let wide = metadata.primitive(TypeDefPrimitive::U128);
    *metadata.value("StakeThreshold") = wide;
    let report = check(&metadata);
    assert_eq!(
        problems(&report),
        [
            "CHANGED  SubtensorModule.StakeThreshold: () -> u128 instead of () -> u64 (no snapshot: who may set weights is \
          unknown)"
        ]
    );
    assert_eq!(vital(&report), ["SubtensorModule.StakeThreshold"]);

    let mut metadata = fixture(461);
    let narrow = metadata.primitive(TypeDefPrimitive::U8);
    let list = metadata.list_of(narrow);
    metadata.field("Metagraph", "validator_permit").ty = list.into();
    metadata.field("AxonInfo", "port").ty = narrow.into();
    let report = check(&metadata);
    assert_eq!(
        problems(&report),
        [
            "CHANGED  SubtensorModule.Axons.port: u8 instead of u16 (no metagraph from storage alone)",
            "CHANGED  SubnetInfoRuntimeApi.get_selective_metagraph.axons.port: u8 instead of u16 (no metagraph in one \
             small call)",
            "CHANGED  SubnetInfoRuntimeApi.get_metagraph.axons.port: u8 instead of u16 (no metagraph in one call of \
             everything)",
            "CHANGED  SubnetInfoRuntimeApi.get_metagraph.validator_permit: Vec<u8> instead of Vec<bool> (no metagraph \
             in one call of everything)",
            "CHANGED  NeuronInfoRuntimeApi.get_neurons_lite.axon_info.port: u8 instead of u16 (no neurons in one call)",
        ]
    );
    assert!(!report.is_ok(), "the axon is in every way");
}

#[test]
fn what_is_rehashed_is_changed() {
    let mut metadata = fixture(424);
    let StorageEntryType::Map { hashers, .. } = &mut metadata.entry("TotalHotkeyAlpha").ty else {
        unreachable!("it is a map");
    };
    hashers[0] = StorageHasher::Twox64Concat;
    let report = check(&metadata);
    assert_eq!(
        problems(&report),
        [
            "CHANGED  SubtensorModule.TotalHotkeyAlpha: (Twox64Concat [u8; 32], Identity u16) -> u64 instead of \
             (Blake2_128Concat [u8; 32], Identity u16) -> u64 (no metagraph from storage and no --verify: stake weight \
             is unknown)"
        ]
    );
    assert_eq!(report.ways(), [Way::Selective, Way::Full]);
    assert!(report.is_ok());
}

#[test]
fn fields_that_go_or_move_are_told_and_those_that_come_last_are_not() {
    let mut metadata = fixture(461);
    metadata
        .fields("SelectiveMetagraph")
        .retain(|field| field.name.as_deref() != Some("total_stake"));
    let report = check(&metadata);
    assert_eq!(
        problems(&report),
        [
            "MISSING  SubnetInfoRuntimeApi.get_selective_metagraph.total_stake (no metagraph in one small call)"
        ]
    );
    assert_eq!(report.ways().first(), Some(&Way::Full));

    // A field in the middle moves those behind it, and they are asked for by number.
    let mut metadata = fixture(461);
    let word = metadata.primitive(TypeDefPrimitive::U32);
    metadata
        .fields("SelectiveMetagraph")
        .insert(60, field("new", word));
    let report = check(&metadata);
    assert!(
        problems(&report)[0].starts_with(
            "CHANGED  SubnetInfoRuntimeApi.get_selective_metagraph.emission: 61: Option<Vec<u64>> instead of 60: "
        ),
        "{report}"
    );
    assert_eq!(report.ways().first(), Some(&Way::Full));

    let mut metadata = fixture(461);
    let word = metadata.primitive(TypeDefPrimitive::U32);
    for name in ["SelectiveMetagraph", "Metagraph", "NeuronInfoLite", "AxonInfo"] {
        metadata.fields(name).push(field("new", word));
    }
    assert_eq!(problems(&check(&metadata)), [""; 0]);
}

#[test]
fn newtypes_new_names_and_new_variants_change_nothing() {
    let mut metadata = fixture(424);
    for entry in ["StakeThreshold", "Tempo", "TotalHotkeyAlpha", "Keys", "Incentive"] {
        let bare = *metadata.value(entry);
        let wrapped = metadata.newtype(bare);
        *metadata.value(entry) = metadata.newtype(wrapped);
    }
    let unit = Variant::<PortableForm> {
        name: "Colour".into(),
        fields: Vec::<Field<PortableForm>>::new(),
        index: 99,
        docs: Vec::new(),
    };
    metadata.variants("HyperparamValue").push(unit);
    for ty in &mut metadata.0.types.types {
        // Names of types are the runtime's own affair; `Option` alone means something.
        for segment in &mut ty.ty.path.segments {
            if segment != "Option" {
                segment.push_str("New");
            }
        }
    }
    let report = check(&metadata);
    assert_eq!(problems(&report), [""; 0]);
    assert_eq!(report.ways(), Way::ALL);
}

#[tokio::test]
async fn every_version_of_metadata_is_taken() {
    let chain = violet_devchain::spawn(
        violet_devchain::Genesis::default(),
        violet_devchain::Options::default(),
    )
    .await
    .unwrap();
    let surface = Surface::bundled();
    let mut reports = Vec::new();
    for version in [14_u32, 15, 16] {
        let scale = answer_of(&chain, "Metadata_metadata_at_version", &version.encode()).await;
        reports.push(surface.check_metadata(&scale).unwrap());
    }
    assert_eq!(reports[1], reports[2]);
    assert!(reports.iter().all(Report::is_ok), "{}", reports[0]);
    // The dev chain is paced as it is told, and has no Aura.
    let lacking = ["MISSING  Aura.SlotDuration (blocks are taken to be 12 s apart)"];
    assert_eq!(problems(&reports[2]), lacking);
    assert_eq!(reports[2].ways().first(), Some(&Way::Selective));
    // Version 14 tells nothing of runtime APIs, so of it only storage can be said to be there.
    assert_eq!(reports[0].ways(), [Way::Storage]);
    let text = reports[0].to_string();
    let untold = "untold   SubnetInfoRuntimeApi.get_metagraph (this metadata describes no runtime API)";
    assert!(text.contains(untold), "{text}");
}
