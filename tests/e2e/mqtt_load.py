"""Clients of Eclipse Paho whose sessions outlive them, and an account of what they sent and got: whatever was acknowledged
arrives, QoS 2 once, each publisher's messages in order.
"""
import sys
import threading
import time

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's, whichever python3 this is.
try:
    import paho.mqtt.client as mqtt
except ImportError:
    sys.exit("python3-paho-mqtt is missing: run scripts/setup")
from support import check, fail, until

WINDOW = 50  # Messages under way of each publisher.
# The most that a session may hold while its client is away, so that nothing is dropped.
LIMITS = """[hub.limits]
queue_messages = 1000000
queue_bytes = 100000000
"""


class Paho(mqtt.Client):
    def __init__(self, name):
        self.resumed = threading.Event()  # What was under way was sent again: before, it would come after what is new.
        super().__init__(name, clean_session=False)

    def _handle_connack(self):
        code = super()._handle_connack()
        self.resumed.set()
        return code

    def _messages_reconnect_reset_out(self):
        """Of a message that was released Paho forgets so with its second vain attempt, and would publish it anew."""
        with self._out_message_mutex:
            for message in self._out_messages.values():
                if message.state == mqtt.mqtt_ms_resend_pubrel:
                    message.state = mqtt.mqtt_ms_wait_for_pubcomp
        super()._messages_reconnect_reset_out()


class Client:
    """One whose session outlives it; Paho keeps its own half of it meanwhile."""

    def __init__(self, name, port, topics=()):
        self.port, self.topics = port, topics
        self.up, self.subscribed = threading.Event(), threading.Event()
        self.client = Paho(name)
        self.client.max_inflight_messages_set(WINDOW)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._connected
        self.client.on_disconnect = lambda *_: (self.up.clear(), self.client.resumed.clear())
        self.client.on_subscribe = lambda *_: self.subscribed.set()

    def _connected(self, client, user, flags, reason):
        if reason != 0:
            return
        self.present = flags["session present"]
        self.up.set()
        if self.topics and not self.subscribed.is_set():
            self.client.subscribe([(topic, 2) for topic in self.topics])

    def start(self):
        self.client.connect_async("127.0.0.1", self.port)
        self.client.loop_start()
        return self

    def stop(self):
        self.client.disconnect()
        self.client.loop_stop()


class Publisher(Client):
    """Numbers its messages, and knows which of them were acknowledged."""

    def __init__(self, name, port, qos, retain=False):
        super().__init__(name, port)
        self.topic, self.qos, self.retain = f"load/{name}", qos, retain
        self.acknowledged, self.numbers, self.early, self.next = set(), {}, set(), 0
        self.lock = threading.Lock()  # Never around Paho, which calls back under its own.
        self.client.on_publish = self._published

    def _published(self, client, user, mid):
        with self.lock:
            if mid in self.numbers:
                self.acknowledged.add(self.numbers.pop(mid))
            else:
                self.early.add(mid)

    def publish(self):
        if len(self.numbers) >= WINDOW or not self.client.resumed.is_set():
            return False
        mid = self.client.publish(self.topic, str(self.next), self.qos, self.retain).mid
        with self.lock:
            if mid in self.early:  # Answered before its number was known.
                self.early.remove(mid)
                self.acknowledged.add(self.next)
            else:
                self.numbers[mid] = self.next
        self.next += 1
        return True


class Subscriber(Client):
    def __init__(self, name, port):
        super().__init__(name, port, ["load/#"])
        self.got = {}
        self.client.on_message = lambda c, u, message: self.got.setdefault(message.topic, []).append(int(message.payload))

    def judge(self, publisher):
        got = self.got.get(publisher.topic, [])
        missing = publisher.acknowledged - set(got)
        if missing:
            fail(f"{publisher.topic}: {len(missing)} acknowledged messages are lost, the first is {min(missing)}")
        if publisher.qos == 2 and len(set(got)) != len(got):
            twice = next(one for one in got if got.count(one) > 1)
            fail(f"{publisher.topic}: QoS 2 came twice, {twice} the first")
        first = list(dict.fromkeys(got))
        if first != sorted(first):
            fail(f"{publisher.topic}: out of order")
        return len(got) - len(set(got))


class Load:
    """All publishers publish as fast as they are answered, until stop()."""

    def __init__(self, publishers):
        self.publishers = publishers
        self.running = threading.Event()
        self.running.set()
        self.thread = threading.Thread(target=self._pump, daemon=True)
        self.thread.start()

    def _pump(self):
        while self.running.is_set():
            if not any([one.publish() for one in self.publishers]):
                time.sleep(0.001)

    def stop(self):
        """Answers how many were acknowledged, once all are."""
        self.running.clear()
        self.thread.join()
        until("every acknowledgement", lambda: not any(one.numbers for one in self.publishers))
        return sum(len(one.acknowledged) for one in self.publishers)


def account(subscriber, publishers, what):
    """Waits for all that was acknowledged and judges it; how many of QoS 1 came again."""
    try:
        until("what was acknowledged", lambda: all(
            one.acknowledged <= set(subscriber.got.get(one.topic, [])) for one in publishers))
    finally:
        again = sum(subscriber.judge(one) for one in publishers)
    check(subscriber.present, f"the session of the subscriber that {what} was there each time")
    return again
