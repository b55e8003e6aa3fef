//! Configuration files as users write and run them: the shared example, what `init` writes, and `jobs/`.

use chrono::{DateTime, Utc};
use paceline::cli::init::{InitArgs, init};
use paceline::config::{self, AsOf, Config};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(repository().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder} holds no .{extension}");
    paths
}

#[test]
#[expect(clippy::print_stdout, reason = "says why it is skipped")]
fn the_shared_example_loads_and_holds_the_defaults() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/config.example.yaml"));
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: {} is absent", path.display());
        return;
    };
    assert_eq!(config::parse(&text, "config.example.yaml").unwrap(), Config::default());
}

#[tokio::test]
async fn init_writes_a_configuration_and_never_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let args = InitArgs { dir: folder.path().join("new"), sample: false, force: false };
    assert_eq!(init(&args).await.unwrap(), 0);
    let loaded = config::load(&args.dir.join("paceline.yaml")).unwrap();
    assert_eq!(loaded.hash(), Config::default().hash());
    assert_eq!(loaded.lake, format!("file:{}", args.dir.join("lake").display()));

    std::fs::write(args.dir.join("paceline.yaml"), "seed: 1\n").unwrap();
    let refused = init(&args).await.unwrap_err();
    assert_eq!(refused.exit_code(), 2);
    assert!(refused.to_string().contains("--force"), "{refused}");
    assert_eq!(std::fs::read_to_string(args.dir.join("paceline.yaml")).unwrap(), "seed: 1\n");
    init(&InitArgs { force: true, ..args.clone() }).await.unwrap();
    assert_eq!(config::load(&args.dir.join("paceline.yaml")).unwrap().seed, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn init_with_sample_writes_a_lake_its_truth_and_a_configuration_that_fits() {
    let folder = tempfile::tempdir().unwrap();
    let args = InitArgs { dir: folder.path().to_owned(), sample: true, force: false };
    init(&args).await.unwrap();
    let loaded = config::load(&args.dir.join("paceline.yaml")).unwrap();
    assert_eq!((loaded.as_of, loaded.job.as_str()), (AsOf::Latest, "sample"));
    assert_eq!(loaded.experiments.len(), 1);
    let truth: Value = serde_json::from_slice(&std::fs::read(args.dir.join("truth.json")).unwrap()).unwrap();
    assert_eq!(truth["experiment"]["id"], loaded.experiments[0].id.as_str());

    let mut rows = 0;
    let days: Vec<PathBuf> =
        std::fs::read_dir(args.dir.join("lake/steps")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(days.len(), 42);
    for day in &days {
        let file = std::fs::File::open(day.join("part-0.parquet")).unwrap();
        let reader = parquet::file::serialized_reader::SerializedFileReader::new(file).unwrap();
        rows += parquet::file::reader::FileReader::metadata(&reader).file_metadata().num_rows();
    }
    assert_eq!(Some(rows), truth["n_steps"].as_i64());

    let bytes = |dir: &Path| std::fs::read(dir.join("lake/steps/date=2026-10-01/part-0.parquet")).unwrap();
    let before = bytes(&args.dir);
    init(&InitArgs { force: true, ..args.clone() }).await.unwrap();
    assert_eq!(bytes(&args.dir), before, "the same seed makes the same bytes");

    std::fs::remove_file(args.dir.join("truth.json")).unwrap();
    let refused = init(&InitArgs { force: true, ..args.clone() }).await.unwrap_err();
    assert!(refused.to_string().contains("no sample"), "{refused}");
    assert_eq!(bytes(&args.dir), before, "a lake that may be somebody's own is left alone");
}

#[test]
fn every_job_spec_loads() {
    for path in files("jobs", "yaml") {
        let config = config::load(&path).unwrap();
        assert_eq!(Some(config.job.as_str()), path.file_stem().and_then(|stem| stem.to_str()), "{}", path.display());
    }
}

fn manifests(path: &Path) -> Vec<Value> {
    serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn of_kind(documents: &[Value], kind: &str) -> Value {
    let found: Vec<&Value> = documents.iter().filter(|document| document["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}");
    found[0].clone()
}

/// Every manifest runs a job that can't pile up, can't harm its node, and knows no secret.
#[test]
fn every_cron_job_is_bounded_and_harmless() {
    let mut n_checked = 0;
    for path in files("jobs/kubernetes", "yaml") {
        let documents = manifests(&path);
        let Some(cron_job) = documents.iter().find(|document| document["kind"] == "CronJob") else { continue };
        n_checked += 1;
        let spec = &cron_job["spec"];
        assert_eq!(spec["concurrencyPolicy"], "Forbid");
        assert!(spec["startingDeadlineSeconds"].as_i64().unwrap() >= 60);
        assert!(spec["timeZone"].is_string());
        let job = &spec["jobTemplate"]["spec"];
        assert!(job["backoffLimit"].is_u64() && job["activeDeadlineSeconds"].is_u64());
        let pod = &job["template"]["spec"];
        assert_eq!(pod["restartPolicy"], "Never");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["automountServiceAccountToken"], false);
        let container = &pod["containers"][0];
        for bound in ["requests", "limits"] {
            assert!(container["resources"][bound]["memory"].is_string(), "{bound}");
        }
        assert!(container["resources"]["requests"]["cpu"].is_string());
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
        assert!(container["envFrom"][0]["secretRef"]["name"].is_string());
        assert!(container.get("env").is_none(), "values of secrets have no place in a manifest");
    }
    assert_eq!(n_checked, 2);
}

/// The configuration that a pod reads loads, and its schedule and memory are those of the manifest around it.
#[test]
fn every_config_map_holds_a_configuration_that_fits_its_cron_job() {
    for path in files("jobs/kubernetes", "yaml") {
        let documents = manifests(&path);
        if documents.iter().all(|document| document["kind"] != "CronJob") {
            continue;
        }
        let (map, cron_job) = (of_kind(&documents, "ConfigMap"), of_kind(&documents, "CronJob"));
        let config = config::parse(map["data"]["paceline.yaml"].as_str().unwrap(), "paceline.yaml").unwrap();
        assert_eq!(cron_job["spec"]["schedule"], config.schedule.as_str());
        assert_eq!(cron_job["spec"]["timeZone"], config.timezone.name());
        let pod = &cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
        assert_eq!(pod["volumes"][0]["configMap"]["name"], map["metadata"]["name"]);
        let limit = pod["containers"][0]["resources"]["limits"]["memory"].as_str().unwrap();
        let gibibytes: u64 = limit.strip_suffix("Gi").unwrap().parse().unwrap();
        assert!(config.limits.memory_bytes < gibibytes << 30, "the run must stay below what kills its pod");
    }
}

#[test]
fn each_line_of_the_crontab_names_a_job_spec_at_its_own_schedule() {
    let text = std::fs::read_to_string(repository().join("jobs/crontab")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("paceline run")).collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        let spec = line.split_whitespace().find(|word| word.ends_with(".yaml")).unwrap();
        let name = Path::new(spec).file_name().unwrap();
        let config = config::load(&repository().join("jobs").join(name)).unwrap();
        let fields: Vec<&str> = line.split_whitespace().take(5).collect();
        assert_eq!(fields.join(" "), config.schedule.as_str(), "{line}");
    }
}

#[test]
fn as_of_reads_what_the_command_line_says() {
    let instant: DateTime<Utc> = "2026-10-01T00:00:00Z".parse().unwrap();
    assert_eq!(AsOf::parse("2026-10-01T02:00:00+02:00"), Ok(AsOf::At(instant)));
    assert!(AsOf::parse("tomorrow").is_err());
}
