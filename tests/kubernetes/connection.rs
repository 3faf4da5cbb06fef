//! Credentials and transports.

use svcnat::kubernetes::Resource as Watched;
use svcnat_apiserver::{ApiServer, Options, Resource, Transport};

use crate::agent::{Agent, populate, populated, service};

#[tokio::test(flavor = "multi_thread")]
async fn every_transport_serves() {
    let tls = |alpn: &[&str]| Transport::Tls { alpn: alpn.iter().map(ToString::to_string).collect() };
    for transport in [Transport::Plain, tls(&[]), tls(&["http/1.1"]), tls(&["h2", "http/1.1"])] {
        let what = format!("{transport:?}");
        let server = ApiServer::start(&Options { transport, ..Options::default() }).unwrap();
        populate(&server);
        let mut agent = Agent::start(&server).await;
        agent.until_complete(&what).await;
        assert_eq!(agent.world, populated(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_read_again() {
    let server = ApiServer::start(&Options::default()).unwrap();
    populate(&server);
    let mut agent = Agent::start(&server).await;
    agent.until_complete("token").await;
    server.set_tokens(["fresh"]);
    server.restart();
    agent.until_status(Watched::Services, |status| !status.connected && status.errors > 0).await;
    // While the old token is all there is, nothing works, and nothing is told.
    assert_eq!(agent.world, populated());
    std::fs::write(&agent.kubeconfig, server.kubeconfig()).unwrap();
    server.delete(Resource::Services, "shop", "b").unwrap();
    agent.until("token", |world| !world.services.contains_key("shop/b")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_may_end_in_a_line_feed() {
    let server = ApiServer::start(&Options::default()).unwrap();
    populate(&server);
    let mut agent = Agent::start(&server).await;
    agent.until_complete("file").await;
    let (kubeconfig, token) = (server.kubeconfig(), agent.kubeconfig.with_file_name("token"));
    assert!(kubeconfig.contains("token: let-me-in"), "{kubeconfig}");
    for (number, text) in [(1, "one\n"), (2, "two"), (3, " three \r\n")] {
        std::fs::write(&token, text).unwrap();
        let named = kubeconfig.replace("token: let-me-in", &format!("tokenFile: {}", token.display()));
        std::fs::write(&agent.kubeconfig, named).unwrap();
        server.set_tokens([text.trim()]);
        server.restart();
        let address = format!("10.96.1.{number}");
        server.apply(service("a", &address)).unwrap();
        agent.until(text, |world| world.services["shop/a"] == address).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_certificate_is_not_believed() {
    let (server, impostor) =
        (ApiServer::start(&Options::default()).unwrap(), ApiServer::start(&Options::default()).unwrap());
    populate(&impostor);
    let mut agent = Agent::start(&server).await;
    agent.until_complete("impostor").await;
    drop(server);
    let forged = std::fs::read_to_string(&agent.kubeconfig).unwrap();
    let place = |address: std::net::SocketAddr| format!("https://{address}");
    let real = forged.split_whitespace().find(|word| word.contains("https://")).unwrap().trim_matches('"');
    std::fs::write(&agent.kubeconfig, forged.replace(real, &place(impostor.address()))).unwrap();
    let settings = svcnat::kubernetes::ClientSettings {
        kubeconfig: Some(agent.kubeconfig.clone()),
        ..svcnat::kubernetes::ClientSettings::default()
    };
    let connection = svcnat::kubernetes::Connection::new(settings).await.unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(16);
    let handle = svcnat::kubernetes::Handle::default();
    let options = svcnat::kubernetes::Options::new("n1".to_owned());
    let watched = svcnat::kubernetes::run(&connection, options, Default::default(), sender, &handle);
    let refused = async {
        while handle.status(Watched::Services).errors == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = watched => panic!("it ended"),
        () = refused => {}
    }
    assert!(receiver.try_recv().is_err());
    assert!(impostor.requests().is_empty());
}
