//! Line 9: eight services whose image is there, brought up by us and by `docker compose up -d`, and made one by one by hand: what the
//! engine itself needs.

use std::collections::HashMap;
use std::fs::{self, File};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, NetworkCreateRequest, NetworkingConfig, PortBinding,
};
use bollard::query_parameters::{CreateContainerOptions, StartContainerOptions};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::bed::{Bed, Session};
use super::results::{Row, ratio, seconds};
use crate::library::{HOME, home};
use crate::tool::{self, Doing, Failure, Outcome};

/// How many services.
const COUNT: u16 = 8;
const MIB: u64 = 1 << 20;

/// How long one way took.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    /// From the start of the work (ours: of the phase; a peer: of its process) to the last container's start.
    work: Duration,
    /// The same from the start of the process.
    process: Duration,
    /// To the end of the process.
    whole: Duration,
}

#[derive(Debug, Default)]
struct Samples {
    alone: Vec<Sample>,
    at_once: Vec<Sample>,
    peer: Vec<Sample>,
    ours: Vec<Sample>,
}

/// Measures all of them in turn.
pub fn measure(bed: &Bed, rounds: usize, quick: bool) -> Outcome<Vec<Row>> {
    let tarball = bed.folder().join("home.tar");
    home()?.write(File::create(&tarball).doing(tarball.display())?)?;
    bed.make_card("images", std::slice::from_ref(&tarball), 512 * MIB, "timezone: UTC\n")?;
    let session = bed.power_on()?;
    session.open_engine()?;
    session.agent(&[])?;
    let all = usize::from(COUNT);
    let mut taken = Samples::default();
    // The first containers after the engine's start take longer than all later ones: they are nobody's.
    by_hand(&session, 1)?;
    for _ in 0..rounds {
        taken.alone.push(by_hand(&session, 1)?);
        taken.at_once.push(by_hand(&session, all)?);
        taken.peer.push(peer(&session)?);
        taken.ours.push(ours(&session)?);
        if !quick {
            taken.ours.push(ours(&session)?);
            taken.peer.push(peer(&session)?);
            taken.at_once.push(by_hand(&session, all)?);
            taken.alone.push(by_hand(&session, 1)?);
        }
    }
    Ok(rows(&median(&taken.peer), &median(&taken.ours), &median(&taken.alone), &median(&taken.at_once)))
}

fn rows(peer: &Sample, ours: &Sample, alone: &Sample, at_once: &Sample) -> Vec<Row> {
    let part = |one: Duration, other: Duration| one.as_secs_f64() / other.as_secs_f64();
    let (work, process, engine) =
        (part(ours.work, peer.work), part(ours.process, peer.process), part(ours.work, alone.work));
    vec![
        Row::new(9, &format!("last of {COUNT} services started / peer, from the phase's begin"))
            .at_most(0.6, work)
            .say(&seconds(peer.work), &format!("{} ({})", ratio(work), seconds(ours.work))),
        Row::new(9, "the same from the begin of the process")
            .at_most(0.6, process)
            .say(&seconds(peer.process), &format!("{} ({})", ratio(process), seconds(ours.process))),
        Row::new(9, "last started / engine's own time, each made and started alone")
            .at_most(1.05, engine)
            .say(&format!("{} ({})", ratio(part(peer.work, alone.work)), seconds(alone.work)), &ratio(engine)),
        Row::new(9, "last started / the engine's time with bare calls, all at once").say(
            &format!("{} ({})", ratio(part(peer.work, at_once.work)), seconds(at_once.work)),
            &ratio(part(ours.work, at_once.work)),
        ),
        Row::new(9, "end of the process (ours waits until they have run for two seconds)")
            .say(&seconds(peer.whole), &seconds(ours.whole)),
    ]
}

fn services() -> Value {
    let service = |number: u16| {
        json!({
            "image": HOME, "restart": "unless-stopped", "environment": {"NUMBER": number.to_string()},
            "ports": [format!("{}:80", 18_080 + number)],
        })
    };
    let all = (1..=COUNT).map(|number| (format!("s{number}"), service(number)));
    json!({"services": all.collect::<serde_json::Map<String, Value>>()})
}

fn peer(session: &Session<'_>) -> Outcome<Sample> {
    let file = session.root().join("data/peer.json");
    fs::write(&file, services().to_string()).doing(file.display())?;
    let words = [session.compose(&file, "peer")?, ["up", "-d"].map(String::from).to_vec()].concat();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (since, begun) = (SystemTime::now(), Instant::now());
    tool::run(words[0], &words[1..])?;
    let whole = begun.elapsed();
    let last = last_start(session, since)?;
    remove_all(session)?;
    eprintln!("  docker compose: {:.2} s, {:.2} s whole", last.as_secs_f64(), whole.as_secs_f64());
    Ok(Sample { work: last, process: last, whole })
}

fn ours(session: &Session<'_>) -> Outcome<Sample> {
    session.settings(&json!({"timezone": "UTC", "containers": services()}).to_string())?;
    let since = SystemTime::now();
    let told = session.agent(&[])?;
    let process = last_start(session, since)?;
    let begun = told.began("services").ok_or_else(|| Failure::new("the agent told no phase of services"))?;
    remove_all(session)?;
    eprintln!("  ours: {:.2} s; {told}", process.as_secs_f64());
    Ok(Sample { work: process.saturating_sub(begun), process, whole: told.wall })
}

/// When the last container since then was started, by the engine's own word.
fn last_start(session: &Session<'_>, since: SystemTime) -> Outcome<Duration> {
    let stamp = |time: SystemTime| -> Outcome<Duration> { time.duration_since(UNIX_EPOCH).doing("the clock") };
    let word = |time: Duration| format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    let since = stamp(since)?;
    let (from, to) = (word(since), word(stamp(SystemTime::now())?));
    let filters = ["--filter", "type=container", "--filter", "event=start", "--format", "{{.TimeNano}}"];
    let told = session.docker(&[["events", "--since", &from, "--until", &to].as_slice(), &filters].concat())?;
    let starts: Vec<u64> = told.lines().filter_map(|line| line.trim().parse().ok()).collect();
    if starts.len() != usize::from(COUNT) {
        return Err(Failure::new(format!("{} containers were started, not {COUNT}", starts.len())));
    }
    let last = starts.into_iter().max().map(Duration::from_nanos).unwrap_or_default();
    Ok(last.saturating_sub(since))
}

fn remove_all(session: &Session<'_>) -> Outcome<()> {
    let listed = session.docker(&["ps", "--all", "--quiet"])?;
    let all: Vec<&str> = listed.lines().collect();
    session.docker(&[["rm", "--force", "--volumes"].as_slice(), &all].concat())?;
    session.docker(&["network", "prune", "--force"]).map(drop)
}

/// One network, then containers made and started by bare calls, so many at a time: what the engine itself needs.
fn by_hand(session: &Session<'_>, at_a_time: usize) -> Outcome<Sample> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().doing("runtime")?;
    let socket = session.socket();
    let docker = Docker::connect_with_unix(&socket.to_string_lossy(), 120, bollard::API_DEFAULT_VERSION);
    let took = runtime.block_on(make_all(docker.doing("the engine")?, at_a_time))?;
    remove_all(session)?;
    eprintln!("  by hand, {at_a_time} at a time: {:.2} s", took.as_secs_f64());
    Ok(Sample { work: took, process: took, whole: took })
}

async fn make_all(docker: Docker, at_a_time: usize) -> Outcome<Duration> {
    let begun = Instant::now();
    let network = NetworkCreateRequest { name: "hand".into(), ..Default::default() };
    docker.create_network(network).await.doing("a network by hand")?;
    let (mut under_way, mut numbers) = (JoinSet::new(), 1..=COUNT);
    loop {
        while under_way.len() < at_a_time {
            let Some(number) = numbers.next() else { break };
            under_way.spawn(make(docker.clone(), number));
        }
        match under_way.join_next().await {
            Some(made) => made.doing("a container by hand")?.doing("a container by hand")?,
            None => return Ok(begun.elapsed()),
        }
    }
}

async fn make(docker: Docker, number: u16) -> Result<(), bollard::errors::Error> {
    let name = format!("hand-{number}");
    let port = PortBinding { host_ip: None, host_port: Some((18_080 + number).to_string()) };
    let body = ContainerCreateBody {
        image: Some(HOME.into()),
        env: Some(vec![format!("NUMBER={number}")]),
        exposed_ports: Some(vec!["80/tcp".into()]),
        host_config: Some(HostConfig {
            network_mode: Some("hand".into()),
            port_bindings: Some(HashMap::from([("80/tcp".into(), Some(vec![port]))])),
            ..Default::default()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([("hand".into(), EndpointSettings::default())])),
        }),
        ..Default::default()
    };
    let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
    docker.create_container(Some(options), body).await?;
    docker.start_container(&name, None::<StartContainerOptions>).await
}

fn median(samples: &[Sample]) -> Sample {
    let middle = |of: fn(&Sample) -> Duration| {
        let mut values: Vec<Duration> = samples.iter().map(of).collect();
        values.sort_unstable();
        let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
        values.get(low).zip(values.get(high)).map_or(Duration::ZERO, |(low, high)| (*low + *high) / 2)
    };
    Sample { work: middle(|one| one.work), process: middle(|one| one.process), whole: middle(|one| one.whole) }
}
