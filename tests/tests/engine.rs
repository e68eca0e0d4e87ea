//! The harness itself: a private engine comes up, loses its power, comes up again and leaves nothing behind.

use offspot_tests::engine::PrivateEngine;

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
