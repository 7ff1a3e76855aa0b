//! The files with which the program is deployed name what exists: paths, commands, options, ports. There is no container
//! engine and no Kubernetes here, so nothing is built or started.
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::Parser;
use healthcare_insights::cli::Cli;
use serde_json::Value;

use crate::harness::repository;

const COMPOSE_KEYS: [&str; 19] = [
    "image",
    "build",
    "environment",
    "depends_on",
    "volumes",
    "command",
    "entrypoint",
    "healthcheck",
    "ports",
    "restart",
    "working_dir",
    "user",
    "profiles",
    "init",
    "shm_size",
    "secrets",
    "env_file",
    "stop_grace_period",
    "deploy",
];

#[test]
fn what_docker_compose_names_exists() {
    let compose = fs::read_to_string(repository().join("docker-compose.yml")).unwrap();
    let value: serde_json::Value = serde_saphyr::from_str(&compose).unwrap();
    let services = value["services"].as_object().expect("services");
    assert!(services.len() >= 2, "postgres and the pipeline");
    for (name, service) in services {
        for key in service.as_object().unwrap().keys() {
            assert!(
                COMPOSE_KEYS.contains(&key.as_str()),
                "{name}: `{key}` is no key of a compose service that we know"
            );
        }
        assert!(
            service.get("image").is_some() || service.get("build").is_some(),
            "{name}"
        );
        if let Some(build) = service.get("build") {
            let context = build.as_str().or_else(|| build["context"].as_str()).unwrap_or(".");
            let dockerfile = build["dockerfile"].as_str().unwrap_or("Dockerfile");
            assert!(
                repository().join(context).join(dockerfile).is_file(),
                "{name}: no {dockerfile} in {context}"
            );
        }
        for volume in service["volumes"].as_array().unwrap_or(&Vec::new()) {
            let text = volume.as_str().or_else(|| volume["source"].as_str()).unwrap();
            let host = text.split(':').next().unwrap();
            if host.starts_with('.') || host.starts_with('/') {
                assert!(repository().join(host).exists(), "{name}: {host} is not there");
            } else {
                assert!(
                    value["volumes"].get(host).is_some(),
                    "{name}: the volume {host} is not declared"
                );
            }
        }
        if let Some(needs) = service.get("depends_on") {
            let named: Vec<String> = match needs {
                serde_json::Value::Array(list) => list.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
                other => other.as_object().unwrap().keys().cloned().collect(),
            };
            assert!(
                named.iter().all(|need| services.contains_key(need)),
                "{name}: {named:?}"
            );
        }
    }
    let dockerfile = fs::read_to_string(repository().join("Dockerfile")).unwrap();
    for line in dockerfile
        .lines()
        .filter(|line| line.starts_with("COPY ") && !line.contains("--from="))
    {
        let words: Vec<&str> = line
            .split_whitespace()
            .skip(1)
            .filter(|word| !word.starts_with("--"))
            .collect();
        for source in &words[..words.len() - 1] {
            assert!(
                Path::new(source) == Path::new(".") || repository().join(source).exists(),
                "Dockerfile copies {source}"
            );
        }
    }
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .map(|one| one.as_str().unwrap())
        .collect()
}

/// Makes sure that the program takes these arguments.
fn taken(place: &str, words: &[&str]) {
    if let Err(error) = Cli::try_parse_from([&["pipeline"][..], words].concat()) {
        panic!("{place}: {error}");
    }
}

/// The value of an option that is written `--name=value`, or in two words.
fn option<'a>(words: &[&'a str], name: &str) -> &'a str {
    let at = words.iter().position(|word| word.starts_with(name)).unwrap();
    words[at]
        .split_once('=')
        .map_or_else(|| words[at + 1], |(_, value)| value)
}

fn port(address: &str) -> u64 {
    address.rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn the_cluster_of_docker_compose_names_its_own_parts() {
    let compose = fs::read_to_string(repository().join("docker-compose.yml")).unwrap();
    let value: Value = serde_saphyr::from_str(&compose).unwrap();
    let dockerfile = fs::read_to_string(repository().join("Dockerfile")).unwrap();
    let services = value["services"].as_object().unwrap();
    let cluster = services
        .iter()
        .filter(|(_, service)| texts(&service["profiles"]) == ["cluster"]);
    let mut seen = BTreeSet::new();
    for (name, service) in cluster {
        seen.insert(name.as_str());
        for argument in service["build"]["args"].as_object().unwrap().keys() {
            assert!(dockerfile.contains(&format!("\nARG {argument}=")), "{name}: {argument}");
        }
        assert_eq!(service["build"]["args"]["FEATURES"], "cluster", "{name}");
        let command = texts(&service["command"]);
        if command[0] == "cluster" {
            taken(name, &command);
            let probe = service["healthcheck"]["test"].to_string();
            let health = option(&command, "--health").replace(':', "/");
            assert!(probe.contains(&format!("/dev/tcp/{health};")), "{name}: {probe}");
            assert!(probe.contains("GET /health/ready"), "{name}: {probe}");
        } else {
            for line in command[0].lines() {
                taken(name, &line.split_whitespace().skip(1).collect::<Vec<_>>());
            }
        }
        // Each names the scheduler's service, and the port on which that listens.
        if name != "scheduler" {
            let listens = texts(&services["scheduler"]["command"]);
            let address = format!("df://scheduler:{}", port(option(&listens, "--bind")));
            assert!(command.iter().any(|part| part.contains(&address)), "{name}: {address}");
        }
    }
    assert_eq!(seen, ["executor", "load-on-cluster", "scheduler"].into());
}

/// The objects of `examples/kubernetes`, as `kubectl apply --kustomize` finds them.
fn objects() -> Vec<Value> {
    let folder = repository().join("examples/kubernetes");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let list: Value = serde_saphyr::from_str(&read("kustomization.yaml")).unwrap();
    let named: BTreeSet<&str> = texts(&list["resources"]).into_iter().collect();
    let present: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            Path::new(name).extension().is_some_and(|ending| ending == "yaml") && name != "kustomization.yaml"
        })
        .collect();
    assert_eq!(named, present.iter().map(String::as_str).collect());
    let mut objects = Vec::new();
    for name in named {
        objects.extend(
            read(name)
                .split("\n---\n")
                .map(|text| serde_saphyr::from_str::<Value>(text).unwrap()),
        );
    }
    objects
}

/// The objects that run pods, with what they run.
fn pods(objects: &[Value]) -> Vec<(&str, &Value)> {
    let pods = objects.iter().filter(|object| object["spec"]["template"].is_object());
    pods.map(|object| {
        (
            object["metadata"]["name"].as_str().unwrap(),
            &object["spec"]["template"],
        )
    })
    .collect()
}

fn containers(pod: &Value) -> Vec<&Value> {
    let of = |key: &str| pod["spec"][key].as_array().into_iter().flatten();
    of("initContainers").chain(of("containers")).collect()
}

#[test]
fn what_kubernetes_runs_is_taken_by_the_program() {
    let objects = objects();
    let pods = pods(&objects);
    assert_eq!(pods.len(), 3);
    let mut commands = 0;
    for (name, pod) in &pods {
        for container in containers(pod) {
            let args = texts(&container["args"]);
            taken(name, &args);
            commands += 1;
            let ports: Vec<u64> = container["ports"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|port| port["containerPort"].as_u64().unwrap())
                .collect();
            if args[0] == "cluster" {
                assert_eq!(
                    ports,
                    [port(option(&args, "--bind")), port(option(&args, "--health"))],
                    "{name}"
                );
                for (probe, path) in [("livenessProbe", "/health/live"), ("readinessProbe", "/health/ready")] {
                    assert_eq!(container[probe]["httpGet"]["path"], path, "{name}");
                    assert_eq!(container[probe]["httpGet"]["port"], "health", "{name}");
                    assert_eq!(container["ports"][1]["name"], "health", "{name}");
                }
            }
            for option in args.iter().filter(|word| word.contains("=/")) {
                let path = option.split_once('=').unwrap().1;
                let mounts = container["volumeMounts"].as_array().unwrap();
                let mounted = |mount: &Value| Path::new(path).starts_with(mount["mountPath"].as_str().unwrap());
                assert!(mounts.iter().any(mounted), "{name}: {path} is not mounted");
            }
        }
    }
    assert_eq!(commands, 5);
}

#[test]
fn the_parts_of_kubernetes_find_each_other() {
    let objects = objects();
    let pods = pods(&objects);
    let of = |kind: &str| {
        objects
            .iter()
            .filter(|object| object["kind"] == kind)
            .collect::<Vec<_>>()
    };
    let mut ports = BTreeSet::new();
    for service in of("Service") {
        let (_, pod) = pods
            .iter()
            .find(|(_, pod)| {
                pod["metadata"]["labels"]["app.kubernetes.io/name"]
                    == service["spec"]["selector"]["app.kubernetes.io/name"]
            })
            .expect("a service of no pod");
        let target = &service["spec"]["ports"][0];
        assert_eq!(target["targetPort"], pod["spec"]["containers"][0]["ports"][0]["name"]);
        assert_eq!(
            target["port"],
            pod["spec"]["containers"][0]["ports"][0]["containerPort"]
        );
        ports.insert(target["port"].as_u64().unwrap());
    }
    let policy = of("NetworkPolicy")[0];
    let open = policy["spec"]["ingress"][0]["ports"].as_array().unwrap();
    assert_eq!(
        open.iter()
            .map(|one| one["port"].as_u64().unwrap())
            .collect::<BTreeSet<_>>(),
        ports
    );
    let scheduler = of("Service")
        .into_iter()
        .find(|one| one["spec"]["clusterIP"] != "None")
        .unwrap();
    let address = format!(
        "df://{}:{}",
        scheduler["metadata"]["name"].as_str().unwrap(),
        scheduler["spec"]["ports"][0]["port"]
    );
    let named = |words: &[&str]| words.iter().any(|word| word.ends_with(&address));
    let users = pods
        .iter()
        .flat_map(|(_, pod)| containers(pod))
        .filter(|one| named(&texts(&one["args"])));
    assert_eq!(users.count(), 2, "the executors and the load name {address}");
    let set = of("StatefulSet")[0];
    let headless = set["spec"]["serviceName"].as_str().unwrap();
    assert!(of("Service").iter().any(|one| one["metadata"]["name"] == headless));
    let executor = texts(&set["spec"]["template"]["spec"]["containers"][0]["args"]);
    assert_eq!(
        option(&executor, "--advertise"),
        format!("$(POD_NAME).{headless}.$(POD_NAMESPACE).svc")
    );
}

#[test]
fn the_pods_of_kubernetes_have_few_rights_and_no_secret_in_their_files() {
    let objects = objects();
    for (name, pod) in pods(&objects) {
        let (labels, spec) = (&pod["metadata"]["labels"], &pod["spec"]);
        // The network policy goes by it.
        assert_eq!(labels["app.kubernetes.io/part-of"], "pipeline", "{name}");
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(
            spec["securityContext"]["runAsUser"], 10001,
            "{name}: the user of the image"
        );
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        let declared: BTreeSet<&str> = spec["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        for container in containers(pod) {
            let rights = &container["securityContext"];
            assert_eq!(rights["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(rights["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(texts(&rights["capabilities"]["drop"]), ["ALL"], "{name}");
            for mount in container["volumeMounts"].as_array().unwrap() {
                assert!(declared.contains(mount["name"].as_str().unwrap()), "{name}: {mount}");
            }
            for variable in container["env"].as_array().into_iter().flatten() {
                assert!(variable.get("value").is_none(), "{name}: {variable}");
            }
        }
    }
    let dockerfile = fs::read_to_string(repository().join("Dockerfile")).unwrap();
    assert!(dockerfile.contains("--uid 10001"));
}
