//! The benchmark: starts the server on one core and the load generator on another, workload by
//! workload, three times each, beside a bare floor program, and prints one table and one JSON object.
//!
//! `bench [--runs N] [--seconds N] [--json FILE] [--data DIR] [W1 W2 .. ask limits]`; `scripts/bench`
//! builds what is needed and calls it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mathia_testkit::lines::Lines;
use serde_json::{Map, Value, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Figures = BTreeMap<String, f64>;

const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";
/// Rates are not what is measured: the benchmark brings its own.
const CONFIG: &str = r#"registration = "open"
[limits]
messages_per_minute = 100000000
messages_burst = 10000000
room_messages_per_minute = 100000000
commits_per_hour = 1000000
lookups_per_hour = 1000000
handshakes_per_second = 1000000
handshakes_burst = 1000000
handshakes_max = 4096
connections_max = 50000
connections_per_address_max = 50000
failed_logins_per_minute = 1000000
"#;

struct Bench {
    binaries: PathBuf,
    scratch: PathBuf,
    seconds: u64,
    n_runs: usize,
}

/// A server (or the floor) under test; ended when dropped.
struct Subject {
    child: Child,
    address: String,
    started_in: Duration,
}

impl Drop for Subject {
    fn drop(&mut self) {
        // Whether it had ended by itself does not matter here.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn main() -> Result<(), Failure> {
    let mut bench = Bench {
        binaries: std::env::current_exe()?
            .ancestors()
            .nth(1)
            .ok_or("the program does not lie in a target directory")?
            .to_owned(),
        scratch: PathBuf::new(),
        seconds: 10,
        n_runs: 3,
    };
    let (mut wanted, mut json_file) = (Vec::new(), None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--runs" => bench.n_runs = value()?.parse()?,
            "--seconds" => bench.seconds = value()?.parse()?,
            "--json" => json_file = Some(PathBuf::from(value()?)),
            "--data" => bench.scratch = PathBuf::from(value()?),
            name => wanted.push(name.to_owned()),
        }
    }
    if wanted.is_empty() {
        wanted = ["W1", "W2", "W3", "W4", "W5", "W6", "W7"].map(str::to_owned).to_vec();
    }
    if bench.scratch.as_os_str().is_empty() {
        // Beside the binaries: temporary directories are often not on a disk.
        bench.scratch = bench.binaries.join(format!("bench-{}", std::process::id()));
    }
    fs::create_dir_all(&bench.scratch)?;
    let result = bench.run(&wanted, json_file.as_deref());
    fs::remove_dir_all(&bench.scratch)?;
    result
}

impl Bench {
    fn run(&self, wanted: &[String], json_file: Option<&Path>) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "server on core {SERVER_CORE}, load on core {LOAD_CORE}, data in {}, fsync {:.0} us \
             (median of 200), {} runs\n",
            self.scratch.display(),
            fsync_us(&self.scratch)?,
            self.n_runs
        )?;
        writeln!(out, "{:4} {:30} {:>12} {:>12} {:>12}", "", "figure", "median", "min", "max")?;
        let mut all = Map::new();
        for name in wanted {
            let runs: Vec<Figures> =
                (0..self.n_runs).map(|_| self.workload(name)).collect::<Result<_, _>>()?;
            let mut object = Map::new();
            for figure in runs[0].keys() {
                let mut values: Vec<f64> =
                    runs.iter().filter_map(|run| run.get(figure).copied()).collect();
                values.sort_by(f64::total_cmp);
                let (median, min) = (values[values.len() / 2], values[0]);
                let max = values[values.len() - 1];
                writeln!(out, "{name:4} {figure:30} {median:12.3} {min:12.3} {max:12.3}")?;
                object.insert(figure.clone(), json!(median));
            }
            out.flush()?;
            all.insert(name.clone(), Value::Object(object));
        }
        if let Some(path) = json_file {
            fs::write(path, format!("{}\n", Value::Object(all)))?;
        }
        Ok(())
    }

    fn workload(&self, name: &str) -> Result<Figures, Failure> {
        match name {
            "W1" => self.beside_floor(("fanout", "n=100"), ("floor-fanout", "n=100")),
            "W2" => self.beside_floor(("rooms", "n=100"), ("floor-rooms", "n=100")),
            "W3" => self.idle(1_000),
            "W3x10" => self.idle(10_000),
            "W4" => {
                let data = self.fresh("data")?;
                self.load(&self.server(&data)?, &["latency"])
            }
            "W5" => {
                let data = self.fresh("data")?;
                let server = self.server(&data)?;
                let people = self.people();
                self.load(&server, &["fill", "n=20000", &people])?;
                self.load(&server, &["history", &people])
            }
            "W6" => {
                let data = self.fresh("data")?;
                let server = self.server(&data)?;
                let people = self.people();
                self.load(&server, &["enroll", "n=200", &people])?;
                self.load(&server, &["logins", "n=200", &people])
            }
            "W7" => {
                let data = self.fresh("data")?;
                let fill = self.binaries.join("fill");
                run_to_end(Command::new(fill).arg(&data).arg("1000000"))?;
                let server = self.server(&data)?;
                let start_ms = server.started_in.as_secs_f64() * 1_000.0;
                Ok(BTreeMap::from([("start_ms".to_owned(), start_ms)]))
            }
            "ask" => self.ask(),
            "limits" => {
                let mut figures = self.floor("floor-fanout", "n=100")?;
                figures.extend(self.floor("floor-rooms", "n=100")?);
                Ok(figures)
            }
            other => {
                Err(format!("there is no workload {other}; there are W1 to W7 and ask").into())
            }
        }
    }

    /// Measures a workload, then the floor of the same shape: a figure and what it is a ratio of.
    fn beside_floor(
        &self,
        (workload, n): (&str, &str),
        (floor, floor_n): (&str, &str),
    ) -> Result<Figures, Failure> {
        let data = self.fresh("data")?;
        let mut figures = self.load(&self.server(&data)?, &[workload, n])?;
        let floor = self.floor(floor, floor_n)?;
        let cost = |figures: &Figures, prefix: &str| {
            figures.iter().find(|(key, _)| key.starts_with(prefix)).map(|(_, value)| *value)
        };
        if let (Some(ours), Some(bare)) = (cost(&figures, "cpu_us_per_"), cost(&floor, "floor_us_"))
        {
            figures.insert("times_floor".to_owned(), ours / bare);
        }
        figures.extend(floor);
        Ok(figures)
    }

    fn floor(&self, workload: &str, n: &str) -> Result<Figures, Failure> {
        let data = self.fresh("floor")?;
        let mut command = pinned(SERVER_CORE, &self.binaries.join("floor"));
        command.arg(&data).arg("127.0.0.1:0");
        self.load(&Subject::start(command)?, &[workload, n])
    }

    fn idle(&self, n_sessions: usize) -> Result<Figures, Failure> {
        let data = self.fresh("data")?;
        let (n, people) = (format!("n={n_sessions}"), self.people());
        self.load(&self.server(&data)?, &["enroll", &n, &people])?;
        self.load(&self.server(&data)?, &["idle", &n, &people])
    }

    /// Answers of the assistant. The load generator starts the server here, after its model.
    fn ask(&self) -> Result<Figures, Failure> {
        let data = self.fresh("data")?;
        let mut command = pinned(LOAD_CORE, &self.binaries.join("load"));
        command.arg("ask").arg(format!("data={}", data.display()));
        command.arg(format!("server_bin={}", self.binaries.join("mathia-server").display()));
        command.arg(format!("core={SERVER_CORE}")).arg(format!("seconds={}", self.seconds));
        let text = run_to_end(command.env("MATHIA_LOG", "warn"))?;
        Ok(serde_json::from_str(&text)?)
    }

    fn people(&self) -> String {
        format!("people={}", self.scratch.join("people.txt").display())
    }

    fn fresh(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.scratch.join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    fn server(&self, data: &Path) -> Result<Subject, Failure> {
        let config = self.scratch.join("limits.toml");
        fs::write(&config, CONFIG)?;
        let mut command = pinned(SERVER_CORE, &self.binaries.join("mathia-server"));
        command.arg("serve").arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]);
        // An assistant that nobody asks is not measured.
        command.arg("--no-assistant").arg("--config").arg(&config).env("MATHIA_LOG", "warn");
        Subject::start(command)
    }

    fn load(&self, subject: &Subject, args: &[&str]) -> Result<Figures, Failure> {
        let mut command = pinned(LOAD_CORE, &self.binaries.join("load"));
        command.arg(args[0]).arg(format!("server={}", subject.address));
        command.arg(format!("pid={}", subject.child.id()));
        command.arg(format!("seconds={}", self.seconds)).args(&args[1..]);
        let text = run_to_end(&mut command)?;
        Ok(serde_json::from_str(&text)?)
    }
}

impl Subject {
    fn start(mut command: Command) -> Result<Self, Failure> {
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn()?;
        let lines = Lines::of(child.stdout.take().ok_or("no standard output")?);
        match lines.greeting() {
            Ok(greeting) => {
                Ok(Self { child, address: greeting.address, started_in: begun.elapsed() })
            }
            Err(why) => {
                child.kill()?;
                Err(why)
            }
        }
    }
}

fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

fn run_to_end(command: &mut Command) -> Result<String, Failure> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{command:?} ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// What one small write with a sync costs on this disk.
fn fsync_us(dir: &Path) -> Result<f64, Failure> {
    let path = dir.join("fsync");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&[0; 4_096])?;
        let begun = Instant::now();
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    fs::remove_file(path)?;
    Ok(times[times.len() / 2].as_secs_f64() * 1e6)
}
