use super::rows::published_table;

published_table! {
    /// Input rows and files that were refused, and why; those seen since the job's previous as-of.
    "rejects" => RejectRow, grain "refused row or file", key [file, row, column, reason, value], may repeat;
    /// The file.
    file: String,
    /// The row in the file, from 0; null where the file as a whole was refused.
    row: Option<i64>,
    /// The column at fault; null where it is the row or the file.
    column: Option<String>,
    /// The value at fault, as text.
    value: Option<String>,
    /// Why it was refused.
    reason: String,
}
