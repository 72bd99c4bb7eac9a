#!/usr/bin/env python3
"""A gpusher client in one file, with nothing but Python's standard library, written from proto/WIRE.md.

As a command:

    python3 gpusher_client.py --user alice                      # print what comes for alice
    python3 gpusher_client.py --user alice --topic news --json  # also what comes for a topic, as JSON
    python3 gpusher_client.py --user bob --send-to alice "hi"   # send one message, print its id
    python3 gpusher_client.py --user alice --v0                 # speak version 0, as old clients do
    python3 gpusher_client.py --self-check proto/vectors        # run the protocol's test vectors

As a module:

    from gpusher_client import Client
    client = Client("127.0.0.1:8881", user="alice", device="laptop")
    for message in client.messages():       # reconnects and resumes by itself
        print(message["content"])           # acknowledged when the loop comes back for the next one
"""

import argparse
import base64
import json
import os
import random
import select
import socket
import struct
import sys
import time
import zlib

MAGIC = 0x45
BODY_BYTES_MAX = 4 << 20
OWN, APP, EVERYONE, TOPIC = range(4)
KIND_NAMES = ("user", "app", "everyone", "topic")

LOGIN, HEARTBEAT, ACK, SEND, JOIN, LEAVE, SYNC, BYE = range(1, 9)
WELCOME, PUSH, ANSWER, RECALL, SYNCED, GOAWAY, CLOSE = range(0x81, 0x88)
V0_GENERAL, V0_HEARTBEAT, V0_ACK, V0_SYNC = range(4)
TO_APPLICATION, TO_USER, TO_TOPIC = 0, 1, 4

CODES = {
    0: "done", 1: "bad_magic", 2: "bad_version", 3: "too_large", 4: "malformed", 5: "unexpected_frame",
    6: "login_deadline", 7: "idle_timeout", 8: "rate_limited", 100: "missing_field", 101: "unknown_app",
    102: "bad_token", 103: "token_expired", 104: "user_unavailable", 200: "kicked", 201: "replaced",
    202: "kick_loop", 300: "slow_consumer", 400: "shutting_down", 401: "overloaded", 402: "rebalance",
    403: "not_available", 404: "no_such_target", 405: "too_many_topics", 406: "not_allowed",
}


class WireError(Exception):
    """The peer broke a rule; `code` is the name of the rule's code."""

    def __init__(self, code, text=""):
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code


class Refused(Exception):
    """The server said no to a request."""

    def __init__(self, code):
        super().__init__(CODES.get(code, f"code {code}"))
        self.code = code


class Ended(Exception):
    """The server does not want this client back, or wants another token first."""


# ---- Frames ---------------------------------------------------------------------------------------------------


def split(data, body_bytes_max=BODY_BYTES_MAX):
    """The first frame of `data` and its length, or None while it is incomplete.

    A frame is (0, type, request, compression, stream id, body) or (1, type, flags, body).
    """
    if len(data) >= 1 and data[0] != MAGIC:
        raise WireError("bad_magic")
    if len(data) < 2:
        return None
    if data[1] == 0:
        if len(data) < 21:
            return None
        kind, request, compression, stream_id, length = struct.unpack_from(">BBBQI", data, 2)
        check_length(length, body_bytes_max)
        if kind > 3 or request > 1 or compression > 1:
            raise WireError("malformed", "header")
        if len(data) < 21 + length:
            return None
        return (0, kind, request, compression, stream_id, bytes(data[21:21 + length])), 21 + length
    if data[1] == 1:
        if len(data) < 8:
            return None
        kind, flags, length = struct.unpack_from(">BBI", data, 2)
        check_length(length, body_bytes_max)
        if len(data) < 8 + length:
            return None
        return (1, kind, flags, bytes(data[8:8 + length])), 8 + length
    raise WireError("bad_version")


def check_length(length, body_bytes_max):
    if length > body_bytes_max:
        raise WireError("too_large", f"{length} bytes")


def frame_v0(kind, stream_id, body=b"", request=0, compression=0):
    return struct.pack(">BBBBBQII", MAGIC, 0, kind, request, compression, stream_id, len(body), 0) + body


def frame_v1(kind, body=b"", flags=0):
    return struct.pack(">BBBBI", MAGIC, 1, kind, flags, len(body)) + body


def str8(text):
    data = text.encode()
    if len(data) > 255:
        raise ValueError("text is too long")
    return bytes([len(data)]) + data


def inflate(data):
    stream = zlib.decompressobj()
    try:
        out = stream.decompress(data, BODY_BYTES_MAX + 1)
    except zlib.error:
        raise WireError("malformed", "not zlib") from None
    if len(out) > BODY_BYTES_MAX:
        raise WireError("too_large", "inflated")
    if not stream.eof or stream.unused_data:
        raise WireError("malformed", "not one zlib stream")
    return out


class Fields:
    """Takes fields off the front of a body."""

    def __init__(self, body):
        self.body, self.at = body, 0

    def take(self, count):
        if self.at + count > len(self.body):
            raise WireError("malformed", "body ends within a field")
        self.at += count
        return self.body[self.at - count:self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def str8(self):
        try:
            return self.take(self.number(1)).decode()
        except UnicodeDecodeError:
            raise WireError("malformed", "text is not UTF-8") from None

    def kind(self):
        kind = self.number(1)
        if kind > TOPIC:
            raise WireError("malformed", "unknown kind")
        return kind

    def rest(self):
        return self.take(len(self.body) - self.at)


# ---- Version 1: what clients send, what servers send ---------------------------------------------------------


def positions_bytes(positions):
    return b"".join(struct.pack(">BQ", kind, seq) for kind, seq in positions)


def login(app_id, user, device, token, capabilities, epoch, resume):
    token = token.encode()
    body = struct.pack(">I", app_id) + str8(user) + str8(device) + struct.pack(">H", len(token)) + token
    body += struct.pack(">BQB", capabilities, epoch, len(resume)) + positions_bytes(resume)
    return frame_v1(LOGIN, body)


def send(request, target, name, content):
    return frame_v1(SEND, struct.pack(">QB", request, target) + str8(name) + content)


def join(request, topic, since=None):
    body = struct.pack(">Q", request) + str8(topic)
    if since is None:
        return frame_v1(JOIN, body)
    return frame_v1(JOIN, body + struct.pack(">Q", since), 0x01)


def leave(request, topic):
    return frame_v1(LEAVE, struct.pack(">Q", request) + str8(topic))


def decode(kind, flags, body):
    """The fields of a frame from the server, under the names of the test vectors; None for an unknown type.

    Flags, entries and trailing bytes that this client does not know are passed over.
    """
    fields = Fields(body)
    if kind == HEARTBEAT:
        return {}
    if kind == WELCOME:
        names = ("connection_id", "epoch", "heartbeat_interval_s", "ack_delay_10ms", "body_bytes_max", "capabilities")
        frame = {name: fields.number(count) for name, count in zip(names, (8, 8, 2, 2, 4, 1))}
        entries = [(fields.number(1), fields.number(1), fields.number(8)) for _ in range(fields.number(1))]
        known = [entry for entry in entries if entry[0] <= TOPIC and entry[1] <= 2]
        frame["resumed"] = [{"kind": k, "result": r, "seq": s} for k, r, s in known]
        return frame
    if kind == PUSH:
        frame = {"kind": fields.kind(), "message_id": fields.number(8), "seq": fields.number(8)}
        frame["kept"] = bool(flags & 0x01)
        frame["expires_at_ms"] = fields.number(8) if flags & 0x02 else None
        frame["topic"] = fields.str8() if flags & 0x04 else ""
        frame["sender"] = fields.str8() if flags & 0x08 else ""
        frame["compressed"] = bool(flags & 0x10)
        frame["content"] = inflate(fields.rest()) if flags & 0x10 else fields.rest()
        return frame
    if kind == ANSWER:
        return {"request": fields.number(8), "code": fields.number(2), "value": fields.number(8)}
    if kind == RECALL:
        return {"kind": fields.kind(), "message_id": fields.number(8), "seq": fields.number(8)}
    if kind == SYNCED:
        if len(body) % 9:
            raise WireError("malformed", "list ends within an entry")
        entries = struct.iter_unpack(">BQ", body)
        return {"positions": [{"kind": k, "seq": s} for k, s in entries if k <= TOPIC]}
    if kind == GOAWAY:
        frame = {"reason": fields.number(2), "close_in_ms": fields.number(4), "reconnect_after_ms": fields.number(4)}
        frame["target"] = fields.str8()
        return frame
    if kind == CLOSE:
        frame = {"reason": fields.number(2), "advice": min(fields.number(1), 2), "delay_ms": fields.number(4)}
        frame["target"], frame["text"] = fields.str8(), fields.str8()
        return frame
    return None


# ---- Version 0: JSON bodies ----------------------------------------------------------------------------------


def to_json(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def from_json(body):
    try:
        value = json.loads(body.decode())
    except ValueError:
        raise WireError("malformed", "body is not JSON") from None
    if not isinstance(value, dict):
        raise WireError("malformed", "body is no object")
    return value


def upstream_v0(target, name, content):
    body = {"type": target}
    if target == TO_USER:
        body["uuid"] = name
    elif target == TO_TOPIC:
        body["topic"] = name
    try:
        body["content"] = content.decode()
    except UnicodeDecodeError:
        body["content"], body["contentEncoding"] = base64.b64encode(content).decode(), "base64"
    return to_json(body)


def push_v0(stream_id, body):
    """A push of version 0 with the names of version 1."""
    push = from_json(body)
    try:
        content = push["content"].encode()
        if push.get("contentEncoding") == "base64":
            content = base64.b64decode(content, validate=True)
        return {
            "kind": stream_id >> 50, "seq": stream_id & (1 << 50) - 1, "message_id": int(push["msgId"]),
            "kept": push["offlinePush"], "topic": push.get("topic", ""), "sender": push.get("sender", ""),
            "uuid": push["uuid"], "push_type": push["type"], "expire_time": push["expireTime"],
            "content": content,
        }
    except (KeyError, ValueError, AttributeError):
        raise WireError("malformed", "body is no push") from None


# ---- The client ----------------------------------------------------------------------------------------------


class State:
    """How far kept messages were worked on, in memory or in a file."""

    def __init__(self, path=None):
        self.path, self.epoch, self.channels, self.topics = path, 0, {}, {}
        if path and os.path.exists(path):
            with open(path) as file:
                stored = json.load(file)
            self.epoch, self.topics = stored["epoch"], stored["topics"]
            self.channels = {int(kind): seq for kind, seq in stored["channels"].items()}

    def enter_epoch(self, epoch):
        """In another epoch no position means anything. 0: a gateway that is alone does not know."""
        if epoch == 0:
            return
        if self.epoch not in (0, epoch):
            self.channels, self.topics = {}, dict.fromkeys(self.topics)
        self.epoch = epoch

    def reached(self, kind, topic):
        return self.topics.get(topic) if kind == TOPIC else self.channels.get(kind)

    def confirm(self, kind, topic, seq):
        """Moves a position forward; whether the server is to be told."""
        if kind == TOPIC:
            if topic in self.topics:
                self.topics[topic] = max(seq, self.topics[topic] or 0)
        else:
            self.channels[kind] = max(seq, self.channels.get(kind, 0))
        self.store()
        return kind != TOPIC

    def store(self):
        if not self.path:
            return
        with open(self.path + ".new", "w") as file:
            json.dump({"epoch": self.epoch, "channels": self.channels, "topics": self.topics}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.path + ".new", self.path)


class Client:
    """Speaks version 1 (or 0), keeps itself connected, resumes, and tells duplicates. For one thread."""

    def __init__(self, gateway, user, app_id=1000, device="", token="development", key="app_gpusher",
                 topics=(), state=None, version=1, notice=None):
        self.gateway, self.user, self.app_id, self.device = gateway, user, app_id, device
        self.token, self.key, self.version = token, key, version
        self.state = state or State()
        for topic in topics:
            self.state.topics.setdefault(topic, None)
        self.notice = notice or (lambda text: None)
        self.socket, self.input, self.arrived, self.answers = None, bytearray(), [], {}
        self.attempt, self.target, self.wait_s = 0, None, None
        self.last_request, self.seen, self.seen_ids = 0, {}, {}
        self.unacknowledged, self.ack_due = set(), None

    # -- Connecting

    def connect(self):
        """Connects and logs in; waits, and tries again, as long as there is hope."""
        while self.socket is None:
            self.pause()
            address, self.target = self.target or self.gateway, None
            try:
                self.open(address)
                self.log_in()
            except (OSError, WireError) as error:
                self.lose(f"{address}: {error}")
        return self

    def pause(self):
        """What the server asked for, else anything up to a bound that doubles: a crowd must not come back at once."""
        if self.wait_s is None and self.attempt > 0:
            self.wait_s = random.uniform(0, min(60, 0.5 * 2 ** (self.attempt - 1)))
        if self.wait_s:
            time.sleep(self.wait_s)
        self.wait_s = None
        self.attempt += 1

    def open(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input.clear()
        self.last_sent = self.last_received = time.monotonic()
        self.online, self.heartbeat_s, self.ack_delay_s = False, 10, 1.0

    def log_in(self):
        if self.version == 0:
            body = {"appId": self.app_id, "uuid": self.user, "key": self.key, "token": self.token}
            self.write(frame_v0(V0_HEARTBEAT, 1, to_json(body)))
        else:
            resume = sorted(self.state.channels.items())
            self.write(login(self.app_id, self.user, self.device, self.token, 1, self.state.epoch, resume))
        deadline = time.monotonic() + 10
        while not self.online and self.socket:
            if time.monotonic() > deadline:
                raise WireError("login_deadline", "no answer")
            self.read(deadline - time.monotonic())

    def lose(self, reason):
        """The connection is over; requests under way stay unanswered."""
        if self.socket:
            self.socket.close()
            self.socket = None
            self.notice(f"offline: {reason}")
        self.unacknowledged.clear()
        self.ack_due = None
        # Joins that this client makes by itself are made again.
        self.answers = {number: answer for number, answer in self.answers.items() if not isinstance(answer, str)}

    def close(self):
        """Acknowledges what was worked on and says good-bye."""
        if not self.socket:
            return
        try:
            self.acknowledge()
            if self.version == 1:
                self.write(frame_v1(BYE))
            # Closing with bytes unread would take back what was just sent.
            self.socket.shutdown(socket.SHUT_WR)
            self.socket.settimeout(1)
            while self.socket.recv(65536):
                pass
        except OSError:
            pass
        self.socket.close()
        self.socket = None

    # -- What an application uses

    def messages(self, timeout=None):
        """Messages as they come; ends when nothing came for `timeout` seconds. Each is confirmed when the next is asked for."""
        while True:
            message = self.next(timeout)
            if message is None:
                return
            yield message
            self.confirm(message)

    def next(self, timeout=None):
        """The next message, or None when nothing came in time. To be confirmed by `confirm`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.arrived:
            if deadline is not None and time.monotonic() >= deadline:
                return None
            self.turn(None if deadline is None else deadline - time.monotonic())
        return self.arrived.pop(0)

    def confirm(self, message):
        """This message is done with, and so are those before it: a kept one is acknowledged soon."""
        if not message["kept"] or not self.state.confirm(message["kind"], message["topic"], message["seq"]):
            return
        self.want_ack(message["kind"])

    def send(self, target, name, content, timeout=10):
        """Sends to a user, a topic or the application; returns the message's id."""
        return self.request(lambda number: self.send_frame(number, target, name, content), timeout)

    def join(self, topic, since=None, timeout=10):
        """Joins a topic, now and after each reconnect; returns its last sequence. Not in version 0: the login's key does it there."""
        last = self.request(lambda number: join(number, topic, since), timeout)
        self.state.topics[topic] = last if since is None else since
        return last

    def leave(self, topic, timeout=10):
        self.request(lambda number: leave(number, topic), timeout)
        self.state.topics.pop(topic, None)

    def request(self, make_frame, timeout):
        self.connect()
        self.last_request += 1
        number = self.last_request
        self.answers[number] = None
        connection = self.socket
        frame = make_frame(number)
        try:
            self.write(frame)
        except OSError as error:
            self.lose(error)
        deadline = time.monotonic() + timeout
        while self.answers[number] is None:
            if time.monotonic() >= deadline or self.socket is not connection:
                del self.answers[number]
                raise TimeoutError("no answer: whether it was done is not known")
            self.turn(deadline - time.monotonic())
        code, value = self.answers.pop(number)
        if code != 0:
            raise Refused(code)
        return value

    def send_frame(self, number, target, name, content):
        if self.version == 0:
            return frame_v0(V0_GENERAL, number, upstream_v0(target, name, content))
        return send(number, target, name, content)

    # -- Time and bytes

    def turn(self, limit_s=None):
        """Waits for something to happen, for `limit_s` at most, and does what is due."""
        self.connect()
        try:
            now = time.monotonic()
            if now - self.last_received > 2.5 * self.heartbeat_s:
                raise WireError("idle_timeout", "the server is silent")
            if now - self.last_sent >= self.heartbeat_s:
                self.write_heartbeat()
            if self.ack_due is not None and now >= self.ack_due:
                self.acknowledge()
            due = [self.last_sent + self.heartbeat_s, self.last_received + 2.5 * self.heartbeat_s + 0.01]
            due += [] if self.ack_due is None else [self.ack_due]
            due += [] if limit_s is None else [now + limit_s]
            self.read(min(due) - now)
        except (OSError, WireError) as error:
            self.lose(error)

    def read(self, limit_s):
        readable, _, _ = select.select([self.socket], [], [], max(0, limit_s))
        if not readable:
            return
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        self.last_received = time.monotonic()
        self.input += data
        while self.socket:
            found = split(self.input)
            if found is None:
                return
            frame, length = found
            del self.input[:length]
            self.on_frame(frame)

    def write(self, data):
        self.socket.sendall(data)
        self.last_sent = time.monotonic()

    def write_heartbeat(self):
        if self.version == 0:
            return self.write(frame_v0(V0_HEARTBEAT, 0))
        self.write(frame_v1(HEARTBEAT, positions_bytes(self.take_acks())))

    def acknowledge(self):
        acks = self.take_acks()
        if acks and self.version == 0:
            for kind, seq in acks:
                self.write(frame_v0(V0_ACK, kind << 50 | seq, request=1))
        elif acks:
            self.write(frame_v1(ACK, positions_bytes(acks)))

    def want_ack(self, kind):
        self.unacknowledged.add(kind)
        if self.ack_due is None:
            # Half of what is allowed; the network may take the other half.
            self.ack_due = time.monotonic() + self.ack_delay_s / 2

    def take_acks(self):
        acks = [(kind, self.state.channels[kind]) for kind in sorted(self.unacknowledged)]
        self.unacknowledged.clear()
        self.ack_due = None
        return acks

    # -- What the server says

    def on_frame(self, frame):
        if frame[0] != self.version:
            raise WireError("bad_version", "answer in another version")
        if self.version == 0:
            return self.on_frame_v0(*frame[1:])
        kind, fields = frame[1], decode(*frame[1:])
        if fields is None or kind == HEARTBEAT:
            return None
        if kind == CLOSE:
            return self.on_close(fields)
        if kind == WELCOME and not self.online:
            return self.on_welcome(fields)
        if not self.online or kind == WELCOME:
            raise WireError("unexpected_frame")
        if kind == PUSH:
            return self.on_push(fields)
        if kind == ANSWER:
            return self.on_answer(fields["request"], fields["code"], fields["value"])
        if kind == RECALL:
            return self.on_recall(fields["message_id"])
        if kind == GOAWAY:
            self.wait_s, self.target = fields["reconnect_after_ms"] / 1000, fields["target"] or None
            self.attempt = 0
            self.acknowledge()
            self.write(frame_v1(BYE))
            return self.lose(CODES.get(fields["reason"], fields["reason"]))
        return None

    def on_welcome(self, welcome):
        self.online, self.attempt = True, 0
        if self.state.epoch not in (0, welcome["epoch"]):
            if welcome["epoch"]:
                self.seen.clear()
            self.notice("messages may be lost: the server's logs are others, or it cannot look")
        self.state.enter_epoch(welcome["epoch"])
        for channel in welcome["resumed"]:
            if channel["result"] == 2:
                self.notice(f"messages are lost on the {KIND_NAMES[channel['kind']]} channel")
        self.heartbeat_s = max(1, welcome["heartbeat_interval_s"])
        self.ack_delay_s = welcome["ack_delay_10ms"] / 100
        self.notice("online")
        for topic, since in self.state.topics.items():
            self.last_request += 1
            self.answers[self.last_request] = topic
            self.write(join(self.last_request, topic, since))

    def on_push(self, push):
        kind, topic, seq = push["kind"], push["topic"], push["seq"]
        if push["kept"]:
            reached = self.state.reached(kind, topic)
            if seq <= max(self.seen.get((kind, topic), -1), -1 if reached is None else reached):
                # It would not come again if the server had heard of it.
                if kind != TOPIC and reached is not None and seq <= reached:
                    self.want_ack(kind)
                return
            self.seen[kind, topic] = seq
        if push["message_id"] in self.seen_ids:
            return
        self.seen_ids[push["message_id"]] = True
        if len(self.seen_ids) > 4096:
            del self.seen_ids[next(iter(self.seen_ids))]
        self.arrived.append(push)

    def on_answer(self, number, code, value):
        asked = self.answers.get(number, False)
        if asked is None:
            self.answers[number] = (code, value)
        elif isinstance(asked, str):
            # A topic that this client joined by itself.
            del self.answers[number]
            if code != 0:
                self.state.topics.pop(asked, None)
                self.notice(f"topic {asked} cannot be joined: {CODES.get(code, code)}")
            elif self.state.topics.get(asked) is None and asked in self.state.topics:
                self.state.topics[asked] = value

    def on_recall(self, message_id):
        self.arrived = [message for message in self.arrived if message["message_id"] != message_id]
        self.notice(f"message {message_id} is withdrawn")

    def on_close(self, close):
        reason = CODES.get(close["reason"], f"code {close['reason']}")
        reason += f": {close['text']}" if close["text"] else ""
        self.lose(reason)
        if close["advice"] == 2:
            raise Ended(reason)
        if close["advice"] == 1:
            raise Ended(f"{reason} (another token is needed)")
        self.target = close["target"] or None
        self.wait_s = close["delay_ms"] / 1000 or None

    def on_frame_v0(self, kind, request, compression, stream_id, body):
        body = inflate(body) if compression else body
        if not self.online:
            if kind == V0_HEARTBEAT:
                self.online, self.attempt = True, 0
                return self.notice("online")
            refusal = from_json(body)
            self.lose("refused")
            raise Ended(f"{CODES.get(refusal.get('code'), refusal.get('code'))}: {refusal.get('msg')}")
        if kind == V0_GENERAL:
            return self.on_push(push_v0(stream_id, body))
        if kind == V0_ACK:
            answer = from_json(body)
            return self.on_answer(stream_id, answer.get("code"), int(answer.get("msgId", "0")))
        return None


# ---- Test vectors --------------------------------------------------------------------------------------------


def plain(value):
    """Fields as the vectors have them: contents in hex, numbers of 64 bits as strings."""
    wide = ("connection_id", "epoch", "message_id", "seq", "expires_at_ms", "request", "value")
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, item in value.items():
        if isinstance(item, bytes):
            made[name] = item.hex()
        elif name in wide and item is not None:
            made[name] = str(item)
        else:
            made[name] = plain(item)
    return made


def encode_vector(version, name, fields):
    """The frame of a client that says these fields."""
    number = lambda field: int(fields[field])
    positions = lambda field: [(entry["kind"], int(entry["seq"])) for entry in fields[field]]
    content = bytes.fromhex(fields.get("content", ""))
    if version == 0:
        body = {
            "login": lambda: to_json({name: fields[name] for name in ("appId", "uuid", "key", "token")}),
            "upstream": lambda: upstream_v0(fields["target"], fields["name"], content),
        }.get(name, bytes)()
        return frame_v0(fields["type"], number("stream_id"), body, fields["request"], fields["compression"])
    names = ("app_id", "user", "device", "token", "capabilities")
    return {
        "LOGIN": lambda: login(*(fields[name] for name in names), number("epoch"), positions("resume")),
        "HEARTBEAT": lambda: frame_v1(HEARTBEAT, positions_bytes(positions("positions"))),
        "ACK": lambda: frame_v1(ACK, positions_bytes(positions("positions"))),
        "SEND": lambda: send(number("request"), fields["target"], fields["name"], content),
        "JOIN": lambda: join(number("request"), fields["topic"], fields["since"] and number("since")),
        "LEAVE": lambda: leave(number("request"), fields["topic"]),
        "SYNC": lambda: frame_v1(SYNC),
        "BYE": lambda: frame_v1(BYE),
    }[name]()


def decode_vector(name, data):
    """Fields of a frame from the server."""
    (version, *frame), length = split(data)
    assert length == len(data), "more than one frame"
    if version == 1:
        return plain(decode(*frame))
    kind, request, compression, stream_id, body = frame
    header = {"type": kind, "request": request, "compression": compression, "stream_id": str(stream_id)}
    if name == "push":
        return header | plain(push_v0(stream_id, body))
    return header | (from_json(body) if name in ("acknowledgement", "refusal") else {})


def is_refused(data, body_bytes_max, code):
    try:
        frame, _ = split(data, body_bytes_max)
        decode(*frame[1:])
    except WireError as error:
        return error.code == code
    return False


def self_check(folder):
    """Runs the vectors that concern a client; returns how many, and what is wrong."""
    count, wrong = 0, []
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".json"):
            continue
        with open(os.path.join(folder, name)) as file:
            table = json.load(file)
        from_client, from_server = table["from"] in ("client", "both"), table["from"] in ("server", "both")
        for vector in table.get("vectors", ()):
            data, results = bytes.fromhex(vector["hex"]), []
            if from_client and not vector.get("decode_only"):
                results.append(encode_vector(table["version"], table["frame"], vector["fields"]) == data)
            if from_server:
                results.append(decode_vector(table["frame"], data) == vector["fields"])
                results += [split(data[:cut]) is None for cut in range(len(data))]
            count += bool(results)
            if not all(results):
                wrong.append(f"{name}: {vector['name']}")
        for vector in table.get("refused", ()) if from_server else ():
            count += 1
            if not is_refused(bytes.fromhex(vector["hex"]), vector["body_bytes_max"], vector["code"]):
                wrong.append(f"{name}: {vector['name']} is not refused")
    return count, wrong


# ---- The command ---------------------------------------------------------------------------------------------


def as_json(message):
    shown = {"id": str(message["message_id"]), "channel": KIND_NAMES[message["kind"]], "seq": str(message["seq"])}
    shown["kept"] = message["kept"]
    shown |= {name: message[name] for name in ("topic", "sender") if message[name]}
    try:
        shown["content"] = message["content"].decode()
    except UnicodeDecodeError:
        shown["contentHex"] = message["content"].hex()
    return json.dumps(shown, ensure_ascii=False)


def as_text(message):
    source = " ".join(part for part in (KIND_NAMES[message["kind"]], message["topic"]) if part)
    source += f" from {message['sender']}" if message["sender"] else ""
    return f"[{source}] {message['content'].decode(errors='replace')}"


def arguments():
    parser = argparse.ArgumentParser(description="a client for gpusher")
    parser.add_argument("--user", help="the user to be")
    parser.add_argument("--gateway", default="127.0.0.1:8881", help="host:port")
    parser.add_argument("--app", type=int, default=1000, help="number of the app")
    parser.add_argument("--key", default="app_gpusher", help="version 0: tag of the app, or a topic to join")
    parser.add_argument("--device", default="", help="name of this device")
    parser.add_argument("--token", default=os.environ.get("GPUSHER_TOKEN", "development"))
    parser.add_argument("--topic", action="append", default=[], help="join a topic; may be given several times")
    parser.add_argument("--state", help="file that remembers what was received")
    parser.add_argument("--json", action="store_true", help="print messages as JSON")
    parser.add_argument("--quiet", action="store_true", help="print nothing but messages")
    parser.add_argument("--count", type=int, help="end after so many messages")
    parser.add_argument("--timeout", type=float, help="end when nothing came for so many seconds")
    parser.add_argument("--v0", action="store_true", help="speak version 0")
    parser.add_argument("--self-check", metavar="DIR", help="run the test vectors and end")
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--send-to", metavar="USER", help="send TEXT to a user and end")
    target.add_argument("--send-topic", metavar="TOPIC", help="send TEXT to a topic and end")
    target.add_argument("--send-app", action="store_true", help="send TEXT to the application and end")
    parser.add_argument("text", nargs="?", help="what to send")
    chosen = parser.parse_args()
    if not chosen.self_check and not chosen.user:
        parser.error("--user is required")
    if chosen.v0 and chosen.topic:
        parser.error("version 0 joins one topic by --key")
    return chosen


def main():
    chosen = arguments()
    if chosen.self_check:
        count, wrong = self_check(chosen.self_check)
        print(*wrong, f"{count - len(wrong)} of {count} vectors pass", sep="\n")
        return 1 if wrong or not count else 0
    notice = (lambda text: None) if chosen.quiet else (lambda text: print(text, file=sys.stderr, flush=True))
    client = Client(chosen.gateway, chosen.user, chosen.app, chosen.device, chosen.token, chosen.key,
                    chosen.topic, State(chosen.state), 0 if chosen.v0 else 1, notice)
    try:
        if chosen.send_to or chosen.send_topic or chosen.send_app:
            target = TO_USER if chosen.send_to else TO_TOPIC if chosen.send_topic else TO_APPLICATION
            name = chosen.send_to or chosen.send_topic or ""
            print(client.send(target, name, (chosen.text or sys.stdin.read()).encode()))
        else:
            printed = 0
            for message in client.messages(chosen.timeout):
                print(as_json(message) if chosen.json else as_text(message), flush=True)
                printed += 1
                if printed == chosen.count:
                    client.confirm(message)
                    break
    except (Ended, Refused, TimeoutError) as error:
        print(f"ended: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
