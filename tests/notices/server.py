"""A mail server for the tests: it does what the file `control` in its folder says, and keeps what it accepts.

    server.py FOLDER [--port N] [--starttls | --tls] [--cert FILE --key FILE] [--user NAME --password WORD]

`control` is a JSON object, read anew at every command:
    refuse            recipients that are refused for good (550 5.1.1)
    temporary         true: every recipient is refused for now (451)
    blocked           true: every recipient is refused because of who we are (550 5.7.1)
    drop_rcpt         true: the connection breaks at the recipient
    spam              true: the message is refused after it was seen (554)
    drop_first        true: the connection breaks after the message was accepted, once for each message
    delay_ms          pause before each answer
    jitter_ms         up to so much more, at random, before and after the message is accepted
`accepted` has one JSON line for each accepted message, in order; `port` is there once the server listens.
"""

import argparse
import asyncio
import email
import email.policy
import json
import os
import random
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    def __init__(self, folder):
        self.folder = folder
        self.seen = set()

    def control(self):
        try:
            with open(os.path.join(self.folder, "control")) as file:
                return json.load(file)
        except (FileNotFoundError, ValueError):
            return {}

    async def pause(self, control):
        pause = control.get("delay_ms", 0) + random.uniform(0, control.get("jitter_ms", 0))
        if pause:
            await asyncio.sleep(pause / 1000)

    async def handle_RCPT(self, server, session, envelope, address, options):
        control = self.control()
        await self.pause(control)
        if control.get("drop_rcpt"):
            server.transport.abort()
            return "421 gone"
        if control.get("temporary"):
            return "451 4.3.0 come back later"
        if control.get("blocked"):
            return "550 5.7.1 relaying denied"
        if address in control.get("refuse", []):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        control = self.control()
        await self.pause(control)
        if control.get("spam"):
            return "554 5.6.0 we do not like this message"
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        known = message["Message-ID"] in self.seen
        self.seen.add(message["Message-ID"])
        line = {
            "id": message["Message-ID"],
            "to": envelope.rcpt_tos,
            "from": envelope.mail_from,
            "subject": message["Subject"],
            "headers": [[name, str(value)] for name, value in message.items()],
            "text": message.get_body(("plain",)).get_content(),
            "html": message.get_body(("html",)).get_content(),
            "bytes": envelope.content.decode("utf-8", "replace"),
            "encrypted": server.transport.get_extra_info("sslcontext") is not None,
            "user": session.auth_data.decode() if session.auth_data else None,
        }
        with open(os.path.join(self.folder, "accepted"), "a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
        if control.get("drop_first") and not known:
            server.transport.abort()
            return "421 gone"
        await self.pause(control)
        return "250 taken"


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--starttls", action="store_true")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--user")
    parser.add_argument("--password")
    args = parser.parse_args()
    context = None
    if args.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.cert, args.key)

    def authenticate(server, session, envelope, mechanism, data):
        right = (data.login.decode(), data.password.decode()) == (args.user, args.password)
        return AuthResult(success=right, handled=False, auth_data=data.login)

    handler = Handler(args.folder)

    def protocol():
        return SMTP(
            handler,
            hostname="mail.test",
            tls_context=context if args.starttls else None,
            require_starttls=args.starttls,
            authenticator=authenticate if args.user else None,
            auth_required=bool(args.user),
            auth_require_tls=args.starttls,
            enable_SMTPUTF8=True,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", args.port, ssl=context if args.tls else None)
    port = server.sockets[0].getsockname()[1]
    unfinished = os.path.join(args.folder, ".port")
    with open(unfinished, "w") as file:
        file.write(str(port))
    os.rename(unfinished, os.path.join(args.folder, "port"))
    # Whoever started this holds the other end: it ends with them.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
