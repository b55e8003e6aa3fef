//! Against values that NIST certifies (Statistical Reference Datasets, linear regression).

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use super::*;
use std::path::{Path, PathBuf};

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/nist_strd");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is absent", folder.display());
    None
}

struct Certified {
    /// Estimate and its standard deviation.
    coefficients: Vec<(f64, f64)>,
    residual_std: f64,
    r_squared: f64,
    /// y, x1, x2, …
    rows: Vec<Vec<f64>>,
}

fn numbers(line: &str) -> Vec<f64> {
    line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn read(folder: &Path, name: &str) -> Certified {
    let text = std::fs::read_to_string(folder.join(format!("{name}.dat"))).unwrap();
    let is_parameter = |line: &&str| {
        let name = line.split_whitespace().next().unwrap_or_default();
        name.starts_with('B') && name[1..].parse::<u8>().is_ok()
    };
    let coefficients = text.lines().filter(is_parameter).map(numbers).map(|found| (found[0], found[1])).collect();
    let after = |label: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(label) && !numbers(line).is_empty());
        *numbers(line.unwrap()).last().unwrap()
    };
    let data = text.lines().skip_while(|line| !line.starts_with("Data:   ") || !line.contains(" x")).skip(1);
    let rows = data.map(numbers).filter(|row| row.len() > 1).collect();
    Certified { coefficients, residual_std: after("Standard Deviation  "), r_squared: after("R-Squared"), rows }
}

/// The powers of x up to `degree`; for a degree of 0 the columns as they are.
fn plane(certified: &Certified, degree: i32, has_intercept: bool) -> (Plane, Vec<f64>) {
    let y = certified.rows.iter().map(|row| row[0]).collect();
    let x = |k: usize| certified.rows.iter().map(|row| row[k]).collect::<Vec<f64>>();
    let mut columns: Vec<Vec<f64>> = match degree {
        0 => (1..certified.rows[0].len()).map(x).collect(),
        _ => (1..=degree).map(|k| x(1).iter().map(|v| v.powi(k)).collect()).collect(),
    };
    if has_intercept {
        columns.insert(0, vec![1.0; certified.rows.len()]);
    }
    let names = (0..columns.len()).map(|k| format!("B{k}")).collect();
    (Plane { names, columns, has_intercept }, y)
}

/// Correct digits.
fn digits(found: f64, certified: f64) -> f64 {
    let error = if certified == 0.0 { found.abs() } else { ((found - certified) / certified).abs() };
    -error.max(1e-16).log10()
}

#[test]
fn certified_values_are_reached_to_the_digits_that_are_printed() {
    let Some(folder) = folder() else { return };
    let sets = [
        ("Norris", 1, true, 13.0),
        ("Longley", 0, true, 12.0),
        ("Wampler1", 5, true, 13.0),
        ("Wampler2", 5, true, 13.0),
        ("Wampler4", 5, true, 13.0),
        ("NoInt1", 1, false, 13.0),
    ];
    for (name, degree, has_intercept, needed) in sets {
        let certified = read(&folder, name);
        let (plane, y) = plane(&certified, degree, has_intercept);
        let fitted = plane.fit(&y).unwrap();
        assert_eq!(fitted.coefficients.len(), certified.coefficients.len(), "{name}");
        for (found, (value, std_error)) in fitted.coefficients.iter().zip(&certified.coefficients) {
            let reached = digits(found.value, *value).min(digits(found.std_error, *std_error));
            assert!(reached >= needed, "{name} {}: {reached} digits of {found:?}", found.name);
        }
        let summary =
            digits(fitted.residual_std, certified.residual_std).min(digits(fitted.r_squared, certified.r_squared));
        assert!(summary >= needed, "{name}: {summary} digits of {fitted:?}");
    }
}

fn ramp(n: u32) -> Vec<f64> {
    (0..n).map(f64::from).collect()
}

fn named(columns: Vec<Vec<f64>>) -> Plane {
    let names = ["(intercept)", "a", "b", "c"].iter().take(columns.len()).map(|name| (*name).to_owned()).collect();
    Plane { names, columns, has_intercept: true }
}

#[test]
fn columns_that_repeat_others_are_named_and_left_out() {
    let (a, ones) = (ramp(6), vec![1.0; 6]);
    let b: Vec<f64> = a.iter().map(|v| 3.0 * v + 2.0).collect();
    let y: Vec<f64> = a.iter().map(|v| 2.0 * v + 1.0).collect();
    let fitted = named(vec![ones, a, b, vec![0.0; 6]]).fit(&y).unwrap();
    assert_eq!(fitted.collinear, ["b", "c"]);
    assert!((fitted.at(&[1.0, 10.0, f64::NAN, 0.0]) - 21.0).abs() < 1e-12);
    assert!(fitted.r_squared > 1.0 - 1e-15 && fitted.coefficients[1].p_value < 1e-12);
}

#[test]
fn too_few_rows_and_wild_values_are_refused_with_numbers() {
    let two = named(vec![vec![1.0; 2], ramp(2), vec![0.0, 7.0], vec![3.0, 1.0]]);
    assert_eq!(two.fit(&[1.0, 2.0]).unwrap_err(), OlsError::NotEnoughRows { needed: 4, got: 2 });
    assert_eq!(named(vec![vec![f64::NAN]]).fit(&[1.0]).unwrap_err(), OlsError::NotFinite);
    let exact = named(vec![vec![1.0; 2], ramp(2)]).fit(&[1.0, 2.0]).unwrap();
    assert!(exact.residual_std.is_nan() && exact.coefficients[0].p_value.is_nan());
    let constant = named(vec![vec![1.0; 3], ramp(3)]).fit(&[5.0; 3]).unwrap();
    assert!((constant.at(&[1.0, 9.0]) - 5.0).abs() < 1e-12);
    assert_eq!(named(Vec::new()).fit(&[]).unwrap().n, 0);
}
