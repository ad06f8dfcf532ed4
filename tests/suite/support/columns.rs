//! Columnar files as text, read back with the readers of Arrow.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::io::{Cursor, Write as _};

/// The content of a saved file: text as it is; for a columnar file, the names and types of its columns, and its rows as
/// JSON.
pub fn shown(bytes: &[u8]) -> String {
    if bytes.starts_with(b"ARROW1") {
        let reader = arrow_ipc::reader::FileReader::try_new(Cursor::new(bytes), None).expect("an Arrow file");
        let schema = reader.schema();
        table("Arrow", &schema, &reader.map(|batch| batch.expect("a batch")).collect::<Vec<_>>())
    } else if bytes.starts_with(b"PAR1") {
        let mut file = tempfile::tempfile().expect("a file can be made");
        file.write_all(bytes).expect("a file can be written");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file");
        let schema = reader.schema().clone();
        let batches = reader.build().expect("a reader").map(|batch| batch.expect("a batch"));
        table("Parquet", &schema, &batches.collect::<Vec<_>>())
    } else {
        String::from_utf8(bytes.to_vec()).expect("what is saved is text, Arrow or Parquet")
    }
}

fn table(format: &str, schema: &SchemaRef, batches: &[RecordBatch]) -> String {
    let columns: String =
        schema.fields().iter().map(|field| format!("{}: {}\n", field.name(), field.data_type())).collect();
    let mut rows = arrow_json::writer::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow_json::writer::LineDelimited>(Vec::new());
    rows.write_batches(&batches.iter().collect::<Vec<_>>()).and_then(|()| rows.finish()).expect("rows become JSON");
    format!("{format} file\n{columns}{}", String::from_utf8_lossy(&rows.into_inner()))
}
