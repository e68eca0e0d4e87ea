//! The story of one boot, top to bottom, in this order.
//!
//! Each step takes its part of the plan by value and returns a token that a later one needs. A problem never hides the rest: it is
//! reported, named, and the story goes on.

use std::time::Duration;

use offspot_config::compose::{self, Project};
use tokio::sync::watch;

use crate::arguments::Arguments;
use crate::card::boot_partition;
use crate::card::stick::{self, Plugged};
use crate::engine::{self, Engine};
use crate::ground::{Ground, blocking};
use crate::host::Host;
use crate::images::Tarball;
use crate::interrupt::Interrupt;
use crate::lock::{Busy, Lock};
use crate::problem::{CardProblem, Problem};
use crate::report::followers::Followers;
use crate::report::{Context, Phase, Reporter, Status, Verdict};
use crate::{images, services, settings};

/// Longest wait for the engine's first answer: on a Pi 3 a cold start takes most of a minute, and it looks at every container first.
const ENGINE_LIMIT: Duration = Duration::from_secs(300);

/// Tells the whole story once; the exit code says how it went. A signal ends it: whatever was cut off, the next run completes.
pub async fn run(host: &Host, arguments: &Arguments, interrupt: &mut Interrupt) -> Result<u8, Busy> {
    host.contained().map_err(Busy::Failed)?;
    let run = host.run();
    let _lock = tokio::select! {
        lock = Lock::take_for_run(&run) => lock?,
        () = interrupt.comes() => return Err(Busy::Held("of the watch".into())),
    };
    let (report, status) = Reporter::new();
    let context = Context::of_this_boot();

    // 1. Say you are alive, before any work: a boot that dies leaves no yesterday's READY behind.
    let mut followers = say_alive(host, arguments, &report, &status, &context).await;

    let verdict = tokio::select! {
        verdict = story(host, arguments, &context, &report, &mut followers) => verdict,
        () = interrupt.comes() => Verdict::Interrupted,
    };
    report.verdict(verdict);
    // The files on the card come last: what they say is then true for whoever pulls the plug.
    let written = followers.finish(interrupt).await;
    let code = status.borrow().exit_code().unwrap_or(1);
    let Err(error) = written else { return Ok(code) };
    // Nobody can read on the card how it went: that is a problem of its own, told by log and exit code alone.
    let problem = Problem::from(CardProblem::NoBoot { why: error.to_string() });
    tracing::error!("{problem}");
    Ok(problem.facts().area.exit_code())
}

/// The first words on the boot partition, which is mounted and in order by then wherever that can be had.
async fn say_alive(
    host: &Host,
    arguments: &Arguments,
    report: &Reporter,
    status: &watch::Receiver<Status>,
    context: &Context,
) -> Followers {
    let (of, named, told) = (host.clone(), arguments.card.clone(), report.clone());
    let ready = blocking(move || boot_partition::make_ready(&of, named.as_deref(), &told)).await;
    let (followers, said) = Followers::start(host, status.clone(), context);
    match (ready, said) {
        // The cause alone is told, not that for want of it nothing could be written either.
        (Err(problem), _) => report.problem(problem),
        (Ok(()), Err(error)) => report.problem(CardProblem::NoBoot { why: error.to_string() }),
        (Ok(()), Ok(())) => {}
    }
    followers
}

async fn story(
    host: &Host,
    arguments: &Arguments,
    context: &Context,
    report: &Reporter,
    followers: &mut Followers,
) -> Verdict {
    // 2. Read the settings. What is refused leaves the last good value of its key in force.
    report.phase(Phase::Settings, 0);
    let settings = settings::read(host, context, report);
    followers.add_led(host, &settings.status, arguments.hold);

    // 3. Make the card whole. Without a data partition only the host is set up and the verdict given.
    report.phase(Phase::Card, 0);
    let ground = Ground::make_whole(host, arguments, context, report).await;

    // What lies on a stick need not be fetched. It stays mounted as long as the story lasts, and no longer.
    let _sticks = plug_in(host, arguments, report).await;

    // 4. Plan: what does not fit is refused here, by name, before anything of it is touched.
    report.phase(Phase::Plan, 0);
    let survey = match &ground {
        Some(ground) => ground.survey(host, &settings, &arguments.replace, report).await,
        None => None,
    };

    // 5. Set up the host.
    report.phase(Phase::Host, 0);
    settings::tell_what_waits(&settings, report);

    let (Some(ground), Some(survey)) = (ground, survey) else { return Verdict::Stopped };
    let (files, tarballs) = survey.split();

    // 6. Place the content. It needs no engine.
    report.phase(Phase::Content, files.iter().map(|step| step.cost.bytes).sum());
    let placed = ground.place(host, files, &arguments.replace, report).await;

    // 7. Load the images. The first call on the socket starts the engine, which is told before where to unpack.
    images::prepare(host, &tarballs, &ground.receipts, report).await;
    let project = settings.containers.as_ref().map(|containers| compose::read(&containers.given).0);
    let engine = match project.is_some() || !tarballs.is_empty() {
        true => reach(host, arguments, &tarballs, project.as_ref(), report).await,
        false => None,
    };
    let Some(engine) = engine else { return ground.conclude(context, report).await };
    let how = (settings.status.keep_tarballs, &settings.registries);
    let loaded = images::load(&engine, ground.grown.folder(), tarballs, &ground.receipts, report, how).await;

    // 8. Bring up the services, and wait within a limit for their health.
    report.phase(Phase::Services, 0);
    if let Some(project) = project {
        let limit = Duration::from_secs(settings.status.health_limit);
        let name = project.name.clone();
        let running = services::up(&engine, host, project, (&placed, &loaded), limit, report).await;
        if let Err(error) = services::forget_volumes(&name, &running, &ground.receipts).await {
            report.note(format!("that containers have their volumes again could not be recorded: {error}"));
        }
    }

    // 9. Give the verdict.
    ground.conclude(context, report).await
}

async fn plug_in(host: &Host, arguments: &Arguments, report: &Reporter) -> Plugged {
    let (host, card, named, report) = (host.clone(), arguments.card.clone(), arguments.stick.clone(), report.clone());
    blocking(move || stick::plug_in(&host, card.as_deref(), named.as_deref(), &report)).await
}

/// The engine; `None` where it does not answer, which is reported with everything that it costs.
async fn reach(
    host: &Host,
    arguments: &Arguments,
    tarballs: &[Tarball],
    project: Option<&Project>,
    report: &Reporter,
) -> Option<Engine> {
    let of = host.clone();
    if let Err(error) = blocking(move || services::make_contract(&of)).await {
        report.note(format!("what containers expect of the box could not be made: {error}"));
    }
    report.phase(Phase::Engine, 0);
    match Engine::ready(&arguments.socket, ENGINE_LIMIT).await {
        Ok(engine) => Some(engine),
        Err(problem) => {
            report.problem(problem);
            let host = host.clone();
            if let Some(words) = blocking(move || engine::last_words(&host)).await {
                report.note(format!("the engine's last words: {words}"));
            }
            images::give_up(tarballs, report);
            services::give_up(project, report);
            None
        }
    }
}
