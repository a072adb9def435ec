"""docs/applications.md: the settings of each application in its real client library send a mail."""

import asyncio
import configparser
import os
import re
import shutil
import smtplib
import ssl
import sys
from pathlib import Path

import pytest

from tests.documentation import text_of
from tests.integration.application_relay import FROM, KEY, SUBJECT, TO, World, world

__all__ = ["world"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

APPLICATIONS = "docs/applications.md"

RECIPES = (
    "Django",
    "Rails",
    "Laravel",
    "WordPress",
    "Nodemailer",
    "Spring Boot",
    "Odoo",
    "listmonk",
    "Mautic",
    "Discourse",
)

JAVA = Path(__file__).parents[1] / "golden" / "clients" / "Send.java"


def recipe(name: str, world: World | None = None) -> str:
    """Return the settings of one application, with the address of the relay of the test in place of the example."""
    text = text_of(APPLICATIONS)
    section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^```\w+\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    settings = found[0] if found else section
    if world is None:
        return settings
    return settings.replace("relay.example.com", "localhost").replace("587", str(world.port)).replace("rk_app1_…", KEY)


async def test_every_application_has_its_settings() -> None:
    for name in RECIPES:
        settings = recipe(name)
        assert "587" in settings or name == "WordPress", name
        assert "587" in settings or "Port" in settings, name


async def test_the_settings_of_django_send_a_mail(world: World) -> None:
    """In a process of its own, because Django is configured once a process."""
    script = f"""
{recipe("Django", world)}
from django.conf import settings
from django.core.mail import send_mail
settings.configure(**{{name: value for name, value in globals().items() if name.isupper()}})
assert send_mail("{SUBJECT}", "Hello", None, ["{TO}"]) == 1
"""
    await _run(world, [sys.executable, "-c", script], {"SSL_CERT_FILE": str(world.authority)})


async def test_the_settings_of_odoo_send_a_mail(world: World) -> None:
    """Odoo sends by smtplib: connect, STARTTLS, login."""
    parser = configparser.ConfigParser(comment_prefixes=("#",))
    parser.read_string(f"[options]\n{recipe('Odoo', world)}")
    options = parser["options"]

    def send() -> None:
        with smtplib.SMTP(options["smtp_server"], int(options["smtp_port"]), timeout=20) as client:
            assert options.getboolean("smtp_ssl")
            client.starttls(context=ssl.create_default_context(cafile=str(world.authority)))
            client.login(options["smtp_user"], options["smtp_password"])
            client.sendmail(options["email_from"], [TO], f"From: {FROM}\r\nSubject: {SUBJECT}\r\n\r\nHello\r\n")

    before = len(world.sink.messages)
    await asyncio.to_thread(send)
    assert SUBJECT.encode() in await world.arrived(before)


async def test_the_settings_of_nodemailer_send_a_mail(world: World) -> None:
    node, packages = shutil.which("node"), Path("/usr/share/nodejs")
    if node is None or not (packages / "nodemailer").exists():
        pytest.skip("needs Debian's node-nodemailer")
    script = f"""
const nodemailer = require("nodemailer");
{recipe("Nodemailer", world)}
transport.sendMail({{ from: "{FROM}", to: "{TO}", subject: "{SUBJECT}", text: "Hello" }}).then(() => transport.close());
"""
    environment = {"NODE_PATH": str(packages), "NODE_EXTRA_CA_CERTS": str(world.authority), "RELAY_KEY": KEY}
    await _run(world, [node, "-e", script], environment)


async def test_the_mailer_dsn_of_mautic_sends_a_mail(world: World) -> None:
    """Mautic hands it to Symfony's mailer, as Laravel does with its settings."""
    found = re.search(r"'(smtp://[^']+)'", recipe("Mautic", world))
    assert found is not None
    await _send_by_symfony(world, f"Symfony\\Component\\Mailer\\Transport::fromDsn('{found[1]}')", FROM)


async def test_the_settings_of_wordpress_send_a_mail(world: World) -> None:
    """WordPress gives its PHPMailer to the functions of `phpmailer_init`."""
    php, source = shutil.which("php"), Path("/usr/share/php/libphp-phpmailer/autoload.php")
    if php is None or not source.exists():
        pytest.skip("needs Debian's libphp-phpmailer")
    settings = recipe("WordPress", world)
    script = f"""
require '{source}';
const RELAY_KEY = '{KEY}';
function add_action($name, $change) {{ global $init; $init = $change; }}
{settings}
$mail = new PHPMailer\\PHPMailer\\PHPMailer(true);
$init($mail);
$mail->setFrom('{FROM}'); $mail->addAddress('{TO}'); $mail->Subject = '{SUBJECT}'; $mail->Body = 'Hello';
$mail->send();
"""
    await _run(world, [php, "-d", f"openssl.cafile={world.authority}", "-r", script], {})


async def test_the_settings_of_laravel_send_a_mail(world: World) -> None:
    """Laravel makes a transport of Symfony's mailer from them, as its MailManager does."""
    values = dict(line.split("=", 1) for line in recipe("Laravel", world).splitlines() if line.startswith("MAIL_"))
    made = (
        "(new Symfony\\Component\\Mailer\\Transport\\Smtp\\EsmtpTransportFactory())->create("
        "new Symfony\\Component\\Mailer\\Transport\\Dsn("
        f"'{values['MAIL_MAILER']}', '{values['MAIL_HOST']}', '{values['MAIL_USERNAME']}', "
        f"{values['MAIL_PASSWORD']}, {values['MAIL_PORT']}))"
    )
    await _send_by_symfony(world, made, values["MAIL_FROM_ADDRESS"])


async def test_the_settings_of_rails_send_a_mail(world: World) -> None:
    """Action Mailer itself, with the settings as they stand in config/environments."""
    if shutil.which("ruby") is None or not list(
        Path("/usr/share/rubygems-integration").rglob("actionmailer-*.gemspec")
    ):
        pytest.skip("needs Debian's ruby-actionmailer")
    script = f"""
require "action_mailer"
config = Struct.new(:action_mailer).new(ActionMailer::Base)
module Rails
  def self.application = Struct.new(:credentials).new(Struct.new(:relay_key).new("{KEY}"))
end
{recipe("Rails", world)}
ActionMailer::Base.mail(from: "{FROM}", to: "{TO}", subject: "{SUBJECT}", body: "Hello").deliver_now
"""
    await _run(world, ["ruby", "-e", script], {"SSL_CERT_FILE": str(world.authority)})


async def test_the_settings_of_discourse_send_a_mail(world: World) -> None:
    """Discourse gives them to the mail library of Ruby (config/environments/production.rb and its SMTP settings)."""
    if shutil.which("ruby") is None or not list(Path("/usr/share/rubygems-integration").rglob("mail-*.gemspec")):
        pytest.skip("needs Debian's ruby-mail")
    settings = re.findall(r'^(DISCOURSE_\w+): "?([^"\n]+)"?$', recipe("Discourse", world), re.MULTILINE)
    script = f"""
require "mail"
Mail.deliver do
  delivery_method :smtp, address: ENV["DISCOURSE_SMTP_ADDRESS"], port: ENV["DISCOURSE_SMTP_PORT"].to_i,
    user_name: ENV["DISCOURSE_SMTP_USER_NAME"], password: ENV["DISCOURSE_SMTP_PASSWORD"], authentication: "plain",
    enable_starttls_auto: ENV["DISCOURSE_SMTP_ENABLE_START_TLS"] == "true"
  from ENV["DISCOURSE_NOTIFICATION_EMAIL"]
  to "{TO}"
  subject "{SUBJECT}"
  body "Hello"
end
"""
    await _run(world, ["ruby", "-e", script], dict(settings) | {"SSL_CERT_FILE": str(world.authority)})


async def test_the_settings_of_spring_send_a_mail(world: World, tmp_path: Path) -> None:
    """Spring Boot gives `spring.mail.properties.*` to a Session of JavaMail, and the others to its Transport."""
    java, jars = shutil.which("java"), [Path("/usr/share/java", f"javax.{name}.jar") for name in ("mail", "activation")]
    if java is None or shutil.which("javac") is None or not all(jar.exists() for jar in jars):
        pytest.skip("needs a JDK and Debian's libmail-java")
    settings = tmp_path / "application.properties"
    settings.write_text(recipe("Spring Boot", world).replace("${RELAY_KEY}", KEY))
    trusted = tmp_path / "trusted.p12"
    keytool = ["keytool", "-importcert", "-noprompt", "-file", str(world.authority), "-keystore", str(trusted)]
    await _output([*keytool, "-storepass", "changeit", "-alias", "relay"], {})
    trust = ["-Djavax.net.ssl.trustStore=" + str(trusted), "-Djavax.net.ssl.trustStorePassword=changeit"]
    command = [java, *trust, "-cp", ":".join(map(str, jars)), str(JAVA), str(settings)]
    await _run(world, [*command, FROM, TO, SUBJECT], {})


async def _send_by_symfony(world: World, transport: str, sender: str) -> None:
    php, autoload = shutil.which("php"), Path("/usr/share/php/Symfony/Component/Mailer/autoload.php")
    if php is None or not autoload.exists():
        pytest.skip("needs Debian's php-symfony-mailer")
    script = f"""
require '{autoload}';
$mail = (new Symfony\\Component\\Mime\\Email())->from('{sender}')->to('{TO}')->subject('{SUBJECT}')->text('Hello');
(new Symfony\\Component\\Mailer\\Mailer({transport}))->send($mail);
"""
    await _run(world, [php, "-d", f"openssl.cafile={world.authority}", "-r", script], {})


async def _run(world: World, command: list[str], environment: dict[str, str]) -> None:
    before = len(world.sink.messages)
    await _output(command, environment)
    assert SUBJECT.encode() in await world.arrived(before)


async def _output(command: list[str], environment: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, env=os.environ | environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()
