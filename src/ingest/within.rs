//! Tasks of a process: `task` becomes `process/task`, and so it does wherever another step of its run names it.

use super::conform::parsed_list;
use crate::tables::steps;
use polars::error::PolarsResult;
use polars::prelude::{
    Column, DataFrame, DataType, InitHashMaps, IntoColumn, IntoSeries, ListBuilderTrait, ListStringChunkedBuilder,
    PlHashMap, StringChunked,
};

/// `steps` with each `step_id` led by its process. A row without a process keeps its id, as does one that is called like
/// its process.
///
/// `processes`: (n_rows,), the process of each row.
pub(super) fn within(steps: DataFrame, processes: &Column) -> PolarsResult<DataFrame> {
    let ids = text(steps.column(steps::STEP_ID)?)?;
    let runs = match steps.column(steps::RUN_ID) {
        Ok(runs) => text(runs)?,
        Err(_missing) => std::iter::repeat_n(None::<&str>, ids.len()).collect(),
    };
    let named = Names::of(&runs, &ids, &text(processes)?);
    let mut columns = vec![renamed(&ids, &runs, &named)];
    if let Ok(parents) = steps.column(steps::PARENT_STEP_ID) {
        columns.push(renamed(&text(parents)?, &runs, &named));
    }
    if let Ok(waits) = steps.column(steps::DEPENDS_ON) {
        columns.push(renamed_lists(waits, &runs, &named)?);
    }
    let mut steps = steps;
    for column in columns {
        steps.with_column(column)?;
    }
    Ok(steps)
}

/// Run and old id → new id, where it is another.
struct Names<'a>(PlHashMap<(Option<&'a str>, &'a str), String>);

impl<'a> Names<'a> {
    fn of(runs: &'a StringChunked, ids: &'a StringChunked, processes: &StringChunked) -> Self {
        let mut names = PlHashMap::with_capacity(ids.len());
        for ((run, id), process) in runs.iter().zip(ids.iter()).zip(processes.iter()) {
            if let (Some(id), Some(process)) = (id, process.filter(|process| !process.is_empty()))
                && id != process
            {
                names.insert((run, id), format!("{process}/{id}"));
            }
        }
        Self(names)
    }

    fn of_id<'b>(&'b self, run: Option<&'b str>, id: &'b str) -> &'b str {
        self.0.get(&(run, id)).map_or(id, String::as_str)
    }
}

fn text(column: &Column) -> PolarsResult<StringChunked> {
    column.cast(&DataType::String)?.str().cloned()
}

fn renamed(ids: &StringChunked, runs: &StringChunked, names: &Names<'_>) -> Column {
    let new: StringChunked = ids.iter().zip(runs.iter()).map(|(id, run)| id.map(|id| names.of_id(run, id))).collect();
    new.with_name(ids.name().clone()).into_column()
}

/// Lists may be texts. One that can't be read stays as it is, to be refused with its row.
fn renamed_lists(lists: &Column, runs: &StringChunked, names: &Names<'_>) -> PolarsResult<Column> {
    if matches!(lists.dtype(), DataType::String) {
        let texts = lists.str()?.iter().zip(runs.iter());
        let new: StringChunked = texts.map(|(list, run)| list.map(|list| renamed_text(list, run, names))).collect();
        return Ok(new.with_name(lists.name().clone()).into_column());
    }
    if !matches!(lists.dtype(), DataType::List(_)) {
        return Ok(lists.clone());
    }
    let lists = lists.cast(&DataType::List(Box::new(DataType::String)))?;
    let lists = lists.list()?;
    let mut new = ListStringChunkedBuilder::new(lists.name().clone(), lists.len(), lists.len());
    for (row, run) in runs.iter().enumerate() {
        match lists.get_as_series(row) {
            Some(ids) => new.append_values_iter(ids.str()?.iter().flatten().map(|id| names.of_id(run, id))),
            None => new.append_null(),
        }
    }
    Ok(new.finish().into_series().into_column())
}

/// An empty text is an unknown list, not an empty one.
fn renamed_text(list: &str, run: Option<&str>, names: &Names<'_>) -> String {
    match parsed_list(list.trim()) {
        Some(ids) if !ids.is_empty() => {
            serde_json::json!(ids.iter().map(|id| names.of_id(run, id)).collect::<Vec<_>>()).to_string()
        }
        _ => list.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use polars::df;
    use polars::prelude::{NamedFrom, Series};

    #[test]
    fn tasks_and_whoever_names_them_are_led_by_their_process() {
        let steps = df!(
            "run_id" => ["r", "r", "r", "s"],
            "step_id" => ["1", "2", "report", "1"],
            "depends_on" => ["", "[\"1\"]", "1;2;gone", "[no list"],
            "parent_step_id" => [None, Some("1"), None, None],
        );
        let processes = Column::new("process".into(), [Some("align"), Some("align"), Some("report"), None]);
        let named = within(steps.unwrap(), &processes).unwrap();
        let of = |name: &str| {
            text(named.column(name).unwrap()).unwrap().iter().map(|t| t.unwrap_or("-").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of("step_id"), ["align/1", "align/2", "report", "1"]);
        assert_eq!(of("parent_step_id"), ["-", "align/1", "-", "-"]);
        assert_eq!(of("depends_on"), ["", r#"["align/1"]"#, r#"["align/1","align/2","gone"]"#, "[no list"]);
    }

    #[test]
    fn lists_and_numbers_do_as_well_as_texts() {
        let empty = Series::new("".into(), [0_i64; 0]);
        let waits = Series::new("depends_on".into(), [empty, Series::new("".into(), [1_i64])]);
        let steps = df!("step_id" => [1_i64, 2], "depends_on" => waits).unwrap();
        let named = within(steps, &Column::new("p".into(), ["a", "b"])).unwrap();
        let waits = named.column("depends_on").unwrap().list().unwrap().clone();
        assert_eq!(waits.get_as_series(0).unwrap().len(), 0);
        assert_eq!(waits.get_as_series(1).unwrap().str().unwrap().get(0), Some("a/1"));
    }
}
