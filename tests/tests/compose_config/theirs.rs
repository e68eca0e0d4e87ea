//! What `docker-compose config` prints, in our terms: the JSON that our own types would be written as.

use serde_json::{Map, Value, json};

use crate::Outcome;

/// A service; what says nothing is left out by `pruned`.
pub fn service(name: &str, given: &Value) -> Outcome<Value> {
    let text = |key: &str| given[key].clone();
    let counts = [&given["scale"], &given["deploy"]["replicas"]];
    let replicas = counts.into_iter().find(|count| !count.is_null()).cloned().unwrap_or(json!(1));
    Ok(json!({
        "name": name,
        "image": given["image"],
        "container_name": given["container_name"],
        "platform": given["platform"],
        "replicas": replicas,
        "restart": restart(given),
        "process": {
            "command": given["command"],
            "entrypoint": given["entrypoint"],
            "environment": given["environment"],
            "user": text("user"),
            "group_add": text("group_add"),
            "working_dir": text("working_dir"),
            "tty": text("tty"),
            "stdin_open": text("stdin_open"),
            "init": text("init"),
            "stop_signal": text("stop_signal"),
            "stop_grace_period": duration(&given["stop_grace_period"])?.map(|nanoseconds| nanoseconds / 1_000_000_000),
        },
        "expose": exposed(given),
        "ports": list(given, "ports").iter().map(port).collect::<Vec<_>>(),
        "mounts": list(given, "volumes").iter().map(mount).collect::<Vec<_>>(),
        "wiring": wiring(given),
        "links": links(given, "links"),
        "external_links": links(given, "external_links"),
        "volumes_from": list(given, "volumes_from").iter().map(volumes_from).collect::<Vec<_>>(),
        "configs": list(given, "configs").iter().map(|file| given_file(file, "")).collect::<Vec<_>>(),
        "secrets": list(given, "secrets").iter().map(|file| given_file(file, "/run/secrets")).collect::<Vec<_>>(),
        "healthcheck": health(&given["healthcheck"])?,
        "isolation": isolation(given),
        "limits": limits(given),
        "labels": given["labels"],
        "annotations": given["annotations"],
        "logging": given["logging"],
        "depends_on": depends_on(given),
    }))
}

fn list<'v>(given: &'v Value, key: &str) -> &'v [Value] {
    given[key].as_array().map_or(&[], Vec::as_slice)
}

fn entries<'v>(given: &'v Value, key: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    given[key].as_object().into_iter().flatten()
}

fn split(text: &str, sign: char) -> (&str, &str) {
    text.split_once(sign).unwrap_or((text, text))
}

/// Compose lets `deploy.restart_policy` stand over `restart`; without condition it is none.
fn restart(given: &Value) -> Value {
    let policy = &given["deploy"]["restart_policy"];
    let (word, count) = match policy.is_null() {
        false => (policy["condition"].as_str().unwrap_or_default(), policy["max_attempts"].clone()),
        true => {
            let (word, count) = given["restart"]
                .as_str()
                .unwrap_or_default()
                .split_once(':')
                .unwrap_or((given["restart"].as_str().unwrap_or_default(), ""));
            (word, count.parse::<u32>().map_or(Value::Null, Value::from))
        }
    };
    match word {
        "always" | "any" => json!("Always"),
        "unless-stopped" => json!("UnlessStopped"),
        "on-failure" => json!({ "OnFailure": count }),
        _ => json!("No"),
    }
}

fn exposed(given: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for item in list(given, "expose") {
        let text = item.as_str().unwrap_or_default();
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let Some((first, last)) = range.split_once('-') else {
            all.push(text.to_owned());
            continue;
        };
        let (first, last): (u16, u16) = (first.parse().unwrap_or(0), last.parse().unwrap_or(0));
        all.extend((first..=last).map(|port| format!("{port}/{protocol}")));
    }
    all
}

fn port(given: &Value) -> Value {
    json!({
        "target": given["target"],
        "protocol": given["protocol"].as_str().unwrap_or("tcp"),
        "host_ip": given["host_ip"].as_str().unwrap_or_default(),
        "published": given["published"].as_str().unwrap_or_default(),
    })
}

fn mount(given: &Value) -> Value {
    let source = given["source"].as_str().unwrap_or_default();
    let bytes = |value: &Value| value.as_str().and_then(|text| text.parse::<i64>().ok());
    let kind = match given["type"].as_str() {
        Some("bind") => json!({"Bind": {
            "source": normal(source),
            "propagation": given["bind"]["propagation"],
        }}),
        Some("tmpfs") => {
            json!({"Tmpfs": {"size": bytes(&given["tmpfs"]["size"]), "mode": mode(&given["tmpfs"]["mode"])}})
        }
        _ => json!({"Volume": {
            "source": given["source"],
            "nocopy": given["volume"]["nocopy"],
            "subpath": given["volume"]["subpath"],
        }}),
    };
    json!({"target": given["target"], "read_only": given["read_only"], "kind": kind})
}

/// Compose leaves this to the engine.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn mode(given: &Value) -> Value {
    match given.as_str() {
        Some(octal) => json!(u32::from_str_radix(octal, 8).unwrap_or(u32::MAX)),
        None => given.clone(),
    }
}

fn wiring(given: &Value) -> Value {
    if let Some(mode) = given["network_mode"].as_str() {
        return match mode.strip_prefix("service:") {
            Some(service) => json!({ "Service": service }),
            None => json!({ "Mode": mode }),
        };
    }
    let mut joined: Vec<(i64, &String, &Value)> = entries(given, "networks")
        .map(|(key, options)| (-options["priority"].as_i64().unwrap_or(0), key, options))
        .collect();
    joined.sort_by(|one, two| (one.0, one.1).cmp(&(two.0, two.1)));
    let one = |(_, key, options): (i64, &String, &Value)| {
        let mut options = options.as_object().cloned().unwrap_or_default();
        options.remove("priority");
        options.insert("network".to_owned(), json!(key));
        Value::Object(options)
    };
    json!({ "Joined": joined.into_iter().map(one).collect::<Vec<_>>() })
}

fn links(given: &Value, key: &str) -> Vec<Value> {
    list(given, key)
        .iter()
        .map(|text| {
            let (name, alias) = split(text.as_str().unwrap_or_default(), ':');
            json!([name, alias])
        })
        .collect()
}

fn volumes_from(given: &Value) -> Value {
    let text = given.as_str().unwrap_or_default();
    let (kind, rest) = match text.strip_prefix("container:") {
        Some(rest) => ("Container", rest),
        None => ("Service", text),
    };
    let (name, mode) = rest.split_once(':').unwrap_or((rest, "rw"));
    json!({"source": {kind: name}, "read_only": mode == "ro"})
}

fn given_file(given: &Value, folder: &str) -> Value {
    let source = given["source"].as_str().unwrap_or_default();
    let target = match given["target"].as_str() {
        None | Some("") => format!("{folder}/{source}"),
        Some(target) if target.starts_with('/') => target.to_owned(),
        Some(target) => format!("{folder}/{target}"),
    };
    json!({"source": source, "target": target, "uid": given["uid"], "gid": given["gid"], "mode": mode(&given["mode"])})
}

fn health(given: &Value) -> Outcome<Value> {
    let test = if given["disable"] == json!(true) { json!(["NONE"]) } else { given["test"].clone() };
    Ok(json!({
        "test": test,
        "interval": duration(&given["interval"])?,
        "timeout": duration(&given["timeout"])?,
        "start_period": duration(&given["start_period"])?,
        "start_interval": duration(&given["start_interval"])?,
        "retries": given["retries"],
    }))
}

fn isolation(given: &Value) -> Value {
    let mut all = Map::new();
    for key in [
        "privileged",
        "read_only",
        "cap_add",
        "cap_drop",
        "security_opt",
        "pid",
        "ipc",
        "uts",
        "cgroup",
        "cgroup_parent",
        "userns_mode",
        "runtime",
        "mac_address",
        "hostname",
        "domainname",
        "dns",
        "dns_search",
        "dns_opt",
        "device_cgroup_rules",
        "storage_opt",
        "sysctls",
    ] {
        all.insert(key.to_owned(), given[key].clone());
    }
    let colon = |host: &Value| host.as_str().unwrap_or_default().replacen('=', ":", 1);
    let hosts: Vec<String> = list(given, "extra_hosts").iter().map(colon).collect();
    let device = |device: &Value| json!([device["source"], device["target"], device["permissions"]]);
    let devices: Vec<Value> = list(given, "devices").iter().map(device).collect();
    let tmpfs = list(given, "tmpfs").iter().map(|text| {
        let (path, options) =
            text.as_str().unwrap_or_default().split_once(':').unwrap_or((text.as_str().unwrap_or_default(), ""));
        (path.to_owned(), json!(options))
    });
    all.insert("tmpfs".to_owned(), Value::Object(tmpfs.collect()));
    all.insert("extra_hosts".to_owned(), json!(hosts));
    all.insert("devices".to_owned(), json!(devices));
    Value::Object(all)
}

fn limits(given: &Value) -> Value {
    let resources = &given["deploy"]["resources"];
    let number = |value: &Value| match value {
        Value::String(text) => text.parse::<i64>().map_or(Value::Null, Value::from),
        other => other.clone(),
    };
    let first = |one: &Value, two: &Value| number(if two.is_null() { one } else { two });
    let mut all = Map::new();
    for key in [
        "memswap_limit",
        "shm_size",
        "cpu_shares",
        "cpuset",
        "cpu_period",
        "cpu_quota",
        "cpu_rt_period",
        "cpu_rt_runtime",
        "cpu_count",
        "cpu_percent",
        "mem_swappiness",
        "oom_kill_disable",
        "oom_score_adj",
    ] {
        all.insert(key.to_owned(), number(&given[key]));
    }
    all.insert("cpuset".to_owned(), given["cpuset"].clone());
    all.insert("mem_limit".to_owned(), first(&given["mem_limit"], &resources["limits"]["memory"]));
    all.insert("mem_reservation".to_owned(), first(&given["mem_reservation"], &resources["reservations"]["memory"]));
    all.insert("pids_limit".to_owned(), first(&given["pids_limit"], &resources["limits"]["pids"]));
    let cpus = if resources["limits"]["cpus"].is_null() { &given["cpus"] } else { &resources["limits"]["cpus"] };
    let cpus = cpus.as_f64().or_else(|| cpus.as_str()?.parse().ok());
    all.insert("cpus".to_owned(), json!(cpus.map(|cpus| (cpus as f32 * 1e9) as i64)));
    let ulimit = |(name, value): (&String, &Value)| match value.as_i64() {
        Some(both) => json!([name, both, both]),
        None => json!([name, value["soft"], value["hard"]]),
    };
    all.insert("ulimits".to_owned(), json!(entries(given, "ulimits").map(ulimit).collect::<Vec<_>>()));
    all.insert("blkio".to_owned(), blkio(&given["blkio_config"]));
    Value::Object(all)
}

fn blkio(given: &Value) -> Value {
    let weights = |key| list(given, key).iter().map(|one| json!([one["Path"], one["Weight"]])).collect::<Vec<_>>();
    let rates = |key| {
        let rate = |one: &Value| one["Rate"].as_str().and_then(|text| text.parse::<u64>().ok());
        list(given, key).iter().map(|one| json!([one["Path"], rate(one)])).collect::<Vec<_>>()
    };
    json!({
        "weight": given["weight"],
        "weight_device": weights("weight_device"),
        "device_read_bps": rates("device_read_bps"),
        "device_read_iops": rates("device_read_iops"),
        "device_write_bps": rates("device_write_bps"),
        "device_write_iops": rates("device_write_iops"),
    })
}

fn depends_on(given: &Value) -> Vec<Value> {
    let one = |(service, on): (&String, &Value)| json!({"service": service, "condition": on["condition"], "restart": on["restart"] == json!(true), "required": on["required"]});
    entries(given, "depends_on").map(one).collect()
}

/// A network or volume of the top level.
pub fn shared(key: &str, given: &Value) -> Value {
    let mut all = given.as_object().cloned().unwrap_or_default();
    all.insert("key".to_owned(), json!(key));
    if let Some(ipam) = all.remove("ipam") {
        all.insert("ipam_driver".to_owned(), ipam["driver"].clone());
        all.insert("ipam_options".to_owned(), ipam["options"].clone());
        all.insert("subnets".to_owned(), ipam["config"].clone());
    }
    Value::Object(all)
}

/// A config or secret of the top level.
pub fn object(key: &str, given: &Value) -> Value {
    let from = match given["file"].is_string() {
        true => json!({"File": normal(given["file"].as_str().unwrap_or_default())}),
        false => json!({"Content": given["content"]}),
    };
    json!({"key": key, "from": from})
}

/// `1m30s`, as Go writes it, in nanoseconds.
fn duration(given: &Value) -> Outcome<Option<i64>> {
    let Some(text) = given.as_str() else { return Ok(None) };
    let (mut rest, mut sum) = (text, 0f64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(|| format!("time {text}"))?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = [("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)]
            .into_iter()
            .find_map(|(name, length)| (name == unit).then_some(length));
        sum +=
            number.parse::<f64>().map_err(|error| error.to_string())? * unit.ok_or_else(|| format!("time {text}"))?;
        rest = after;
    }
    Ok(Some(sum as i64))
}
