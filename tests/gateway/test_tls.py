"""HTTPS and HTTP/2: the same stream, in Python's TLS and in a browser."""

import datetime
import ipaddress
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import Page, sync_playwright

from stack.gateway import Gateway
from stack.process import wait_until
from tests.gateway.conftest import DEADLINE_SECONDS, GatewayWith, LogWriter
from tests.gateway.wire import exchange, the_answer

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

CHROMIUM = "/usr/bin/chromium"
# The platform's own options; see tests/end_to_end/conftest.py.
CHROMIUM_OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

OPEN_STREAMS = """count => {
    window.seen = Array.from({length: count}, () => []);
    window.opened = Array(count).fill(0);
    seen.forEach((list, n) => {
        const source = new EventSource("/sub/thread:1");
        source.onopen = () => { opened[n] += 1; };
        source.addEventListener("test.happened", event => list.push(JSON.parse(event.data).n));
    });
}"""


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate that 127.0.0.1 has signed for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / "certificate.pem", directory / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


@pytest.fixture
def secure(gateway_with: GatewayWith, tmp_path: Path) -> Gateway:
    """A gateway with TLS, whose streams end after a second or two and come back at once."""
    certificate, key = make_certificate(tmp_path)
    return gateway_with(
        PUSHGATE_TLS_CERTIFICATE=str(certificate),
        PUSHGATE_TLS_KEY=str(key),
        PUSHGATE_MAX_AGE_SECONDS="2",
        PUSHGATE_PING_SECONDS="1",
        PUSHGATE_RETRY_MIN_MS="50",
        PUSHGATE_RETRY_MAX_MS="100",
    )


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_stream_comes_over_tls(secure: Gateway, tmp_path: Path, version: ssl.TLSVersion) -> None:
    log = LogWriter(secure)
    context = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
    context.minimum_version = context.maximum_version = version
    host, _, port = secure.settings.listen.rpartition(":")
    plain = socket.create_connection((host, int(port)), DEADLINE_SECONDS)
    with context.wrap_socket(plain, server_hostname=host) as connection:
        connection.sendall(b"GET /sub/thread:1 HTTP/1.1\r\nHost: gateway\r\n\r\n")
        received = b""
        while b"\nid: " not in received:
            received += connection.recv(65536)
        cursor = log.append("thread:1", n=1)
        while data := connection.recv(65536):
            received += data
    assert f"id: {cursor}\nevent: test.happened\n".encode() in received
    assert received.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_an_old_tls_is_refused(secure: Gateway) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    host, _, port = secure.settings.listen.rpartition(":")
    with (
        socket.create_connection((host, int(port)), DEADLINE_SECONDS) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain)


def test_plain_http_is_told_to_use_https(secure: Gateway) -> None:
    answer = the_answer(exchange(secure, b"GET /sub/thread:1 HTTP/1.1\r\nHost: gateway\r\n\r\n"))
    assert answer.status == 400
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    assert answer.body == b"this port speaks TLS; use https\n"


@pytest.mark.real_browser
def test_a_browser_has_more_streams_over_http2_than_connections_and_each_goes_on(
    secure: Gateway,
) -> None:
    """Over HTTP/1.1 the seventh would never open. Each ends meanwhile."""
    log = LogWriter(secure)
    origin = f"https://{secure.settings.listen}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        page: Page = browser.new_context(ignore_https_errors=True).new_page()
        page.route(f"{origin}/", lambda route: route.fulfill(body="", content_type="text/html"))
        page.goto(f"{origin}/")
        page.evaluate(OPEN_STREAMS, 8)
        page.wait_for_function("opened.every(times => times >= 1)")
        appended: list[int] = []

        def has_gone_on() -> bool:
            appended.append(len(appended))
            log.append("thread:1", n=appended[-1])
            page.wait_for_timeout(50)
            return bool(page.evaluate("opened.every(times => times >= 2)"))

        wait_until(has_gone_on, DEADLINE_SECONDS, "each stream has ended and gone on")
        page.wait_for_function(f"seen.every(list => list.length >= {len(appended)})")
        assert page.evaluate("seen") == [appended] * 8
        browser.close()
    assert "[alert]" not in secure.log.read_text(encoding="utf-8")


@pytest.mark.real_browser
def test_receipts_share_the_streams_http2_connection_and_do_not_disturb_it(
    gateway_with: GatewayWith, tmp_path: Path
) -> None:
    certificate, key = make_certificate(tmp_path)
    gateway = gateway_with(
        PUSHGATE_TLS_CERTIFICATE=str(certificate),
        PUSHGATE_TLS_KEY=str(key),
        PUSHGATE_RECEIPTS="on",
    )
    log = LogWriter(gateway)
    origin = f"https://{gateway.settings.listen}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        page: Page = browser.new_context(ignore_https_errors=True).new_page()
        page.route(f"{origin}/", lambda route: route.fulfill(body="", content_type="text/html"))
        page.goto(f"{origin}/")
        page.evaluate(OPEN_STREAMS, 8)
        page.wait_for_function("opened.every(times => times === 1)")
        statuses = page.evaluate(
            """async () => {
              const statuses = [];
              const good = "pushgate-receipts 1\\nhidden thread 1";
              for (const body of [good, "x", "x".repeat(50000)]) {
                const options = { method: "POST", body, keepalive: true, credentials: "omit" };
                statuses.push((await fetch("/receipts", options)).status);
              }
              return statuses;
            }"""
        )
        assert statuses == [204, 400, 413]
        log.append("thread:1", n=1)
        page.wait_for_function("seen.every(list => list.length === 1)")
        assert page.evaluate("opened") == [1] * 8
        browser.close()
