//! The harness itself: a private engine comes up, loses its power, comes up again and leaves nothing behind.

use offspot_tests::engine::PrivateEngine;
use offspot_tests::other_release::{Programs, Release};
use offspot_tests::rig::rootfs;

#[test]
fn a_private_engine_survives_a_cut_and_leaves_nothing() {
    let folder = std::env::temp_dir().join(format!("offspot-engine-{}", std::process::id()));
    let mut engine = PrivateEngine::start(&folder, &folder.join("store"));
    assert!(engine.docker(&["version"]).contains("Server"));
    run(&engine);
    let first = engine.pid();
    engine.kill_and_restart();
    let second = engine.pid();
    run(&engine);
    assert!(engine.docker(&["info", "-f", "{{.Driver}}"]).contains("overlay2"));
    assert!(engine.run_in_netns(&["ip", "link", "show", "docker0"]).unwrap().status.success());
    drop(engine);
    for pid in [first, second] {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
    let left = std::process::Command::new("pgrep").args(["-f", &folder.display().to_string()]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A container of a busybox, so that there is a shim to be left over.
fn run(engine: &PrivateEngine) {
    let busybox = "tar c -C /bin busybox | docker -H unix://$0 import - sleeper:1 && docker -H unix://$0 run -d sleeper:1 /busybox sleep 60";
    let socket = engine.socket().display().to_string();
    let status = std::process::Command::new("sh").args(["-ec", busybox, &socket]).status().unwrap();
    assert!(status.success(), "apt-get install busybox-static");
}

#[test]
fn engines_of_other_releases_answer_and_run_a_container() {
    for (release, major) in [(Release::Trixie, 26), (Release::Sid, 28)] {
        let programs = Programs::of(release).unwrap();
        let folder = std::env::temp_dir().join(format!("o-rel-{major}-{}", std::process::id()));
        let engine = PrivateEngine::start_of(Some(programs), &folder.join("e"), &folder.join("d"), &[]);
        let version = engine.docker(&["version", "-f", "{{.Server.Version}}"]);
        let found: u32 = version.split('.').next().unwrap().parse().unwrap();
        assert!(found >= major, "{version}");
        rootfs(&folder.join("busybox.tar"));
        engine.docker(&["import", folder.join("busybox.tar").to_str().unwrap(), "tiny:1"]);
        assert_eq!(engine.docker(&["run", "--rm", "tiny:1", "/bin/busybox", "echo", "here"]), "here\n");
        drop(engine);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
