//! Bounded runs of the entry points for fuzzing: with any bytes, and with damaged forms of valid inputs.

use super::*;
use proptest::prelude::*;

/// Changes of an input: the place, the number of bytes that are removed, and the bytes that are inserted.
type Edits = Vec<(prop::sample::Index, usize, Vec<u8>)>;

fn edits() -> impl Strategy<Value = Edits> {
    let inserted = prop::collection::vec(any::<u8>(), 0..6);
    prop::collection::vec((any::<prop::sample::Index>(), 0..6_usize, inserted), 0..5)
}

fn edited(seed: &[u8], edits: Edits) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for (at, removed, inserted) in edits {
        let start = at.index(bytes.len() + 1);
        let end = (start + removed).min(bytes.len());
        bytes.splice(start..end, inserted);
    }
    bytes
}

/// An input of the target `chunk` with a few rows.
fn chunk_of(choice: u8, rows: &str) -> Vec<u8> {
    let ty = record_type(choice);
    let values: Vec<serde_json::Value> = serde_json::from_str(rows).unwrap();
    let batch = crate::data::json::records(&ty, &values).unwrap();
    let (mut directory, mut data) = (Vec::new(), Vec::new());
    encode(&batch, &ty, &mut directory, &mut data).unwrap();
    let number = |number: u32| u16::try_from(number).unwrap().to_le_bytes();
    let places = directory.iter().flat_map(|&(offset, length)| [number(offset), number(length)].concat());
    [choice].into_iter().chain(number(values.len() as u32)).chain(places).chain(data).collect()
}

/// A file of the newest checkpoint directory among the test fixtures, as an input of the target `checkpoint`.
fn piece(choice: usize) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/checkpoint-6").join(PIECES[choice]);
    let content = std::fs::read(path).unwrap();
    [0x80 | u8::try_from(choice).unwrap()].into_iter().chain(content).collect()
}

const JOB: &str = "[job]\nname = \"words\"\nplugin = \"words.wasm\"\nbatch_interval = \"2s\"\n\n\
                   [sources.lines]\ntype = \"text-files\"\npath = \"in/**\"\ninclude = \"*.txt\"\nencoding = \"latin-1\"\n\n\
                   [limits]\nmemory = \"64MiB\"\n";
const CSV: &str = "\u{1}c1,c2,c3\na,1,2.5\n\"b, \"\"c\"\"\n\",,-1e300\n";
const JSON: &str =
    "\u{4}{\"c1\":{\"c2\":-7,\"c3\":[1,2,18446744073709551615]},\"c5\":null}\n{\"c1\":null,\"c5\":[0.5,\"NaN\"]}\n";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_chunk_is_read_or_refused(bytes: Vec<u8>, choice in 0..3_usize, edits in edits()) {
        chunk(&bytes);
        let seeds = [
            chunk_of(0, r#"["a", "", "é"]"#),
            chunk_of(1, r#"[{"c1": "a", "c2": null, "c3": 0.5}, {"c1": "b", "c2": -7, "c3": "NaN"}]"#),
            chunk_of(4, r#"[{"c1": {"c2": 1, "c3": [2, 3]}, "c5": null}]"#),
        ];
        chunk(&edited(&seeds[choice], edits));
    }

    #[test]
    fn any_checkpoint_is_read_or_refused(bytes: Vec<u8>, choice in 0..PIECES.len(), edits in edits()) {
        checkpoint(&bytes);
        checkpoint(&edited(&piece(choice), edits));
    }

    #[test]
    fn any_job_file_has_settings_or_mistakes_with_places(bytes: Vec<u8>, edits in edits()) {
        job_file(&bytes);
        job_file(&edited(JOB.as_bytes(), edits));
    }

    #[test]
    fn any_csv_is_read_or_refused(bytes: Vec<u8>, edits in edits()) {
        csv(&bytes);
        csv(&edited(CSV.as_bytes(), edits));
    }

    #[test]
    fn any_body_is_read_or_refused(bytes: Vec<u8>, is_lines: bool, edits in edits()) {
        http_body(&bytes);
        let mut body = edited(JSON.as_bytes(), edits);
        if is_lines && let Some(choice) = body.first_mut() {
            *choice |= 0x80;
        }
        http_body(&body);
    }

    #[test]
    fn any_json_is_read_or_refused(bytes: Vec<u8>, edits in edits()) {
        json(&bytes);
        json(&edited(JSON.as_bytes(), edits));
    }
}

/// Without valid inputs, the tests would read only damaged inputs.
#[test]
fn the_seeds_are_valid() {
    let settings = config::load_bytes(JOB.into(), Path::new("job.toml"), &[], &Facts { cpus: 2 });
    assert_eq!(settings.unwrap().job.name, "words");
    let rows = |format, seed: &str| {
        let simulation = Simulation::new(0, Time::default());
        simulation.file("/file", &seed.as_bytes()[1..]);
        let disk = simulation.env().disk;
        let file = FileVersion::from(disk.entry(Path::new("/file")).unwrap());
        let (ty, budget) = (record_type(seed.as_bytes()[0]), MemoryBudget::new(1 << 26, 0).unwrap());
        let mut reader = LoadedPart::parts(&file, format)[0].read(&disk, &budget, &ty).unwrap();
        reader.next_chunk().unwrap().unwrap().num_rows()
    };
    assert_eq!((rows(LoadedFormat::Csv, CSV), rows(LoadedFormat::Json, JSON)), (2, 2));
    let body = records_of_payload(PayloadFormat::JsonLines, &record_type(4), &JSON.as_bytes()[1..]).unwrap();
    assert_eq!(body[0].num_rows(), 2);
    let simulation = Simulation::new(0, Time::default());
    for (choice, name) in PIECES.into_iter().enumerate() {
        let mut content = piece(choice)[1..].to_vec();
        let before = content.clone();
        reseal(&mut content);
        assert_eq!(content, before, "{name}");
        simulation.file(Path::new("/checkpoint").join(name), content);
    }
    let store = DiskStore::new(simulation.env().disk, "/checkpoint".into());
    assert!(read_log(&store).unwrap().is_some() && current_owner(&store).unwrap().is_some());
    assert!(read_run(&store, "0123456789abcdef-1", true).unwrap().newest.is_some());
}
