"""Pushgate: what its parts share, and the API for everyone else. No Django, no gevent."""

from pushgate.channels import check_channel
from pushgate.connection import connect
from pushgate.control import Control
from pushgate.cursor import Cursor
from pushgate.errors import (
    FrameTooLarge,
    InvalidChannel,
    InvalidCursor,
    InvalidEvent,
    InvalidSetting,
    LeaseLost,
    MarkMoved,
    PushgateError,
    QueueFull,
)
from pushgate.event import Event
from pushgate.frames import Frame, frame_of, tombstone_of
from pushgate.job_queue import Finished, Job, JobQueue, Outcome
from pushgate.keys import Keys
from pushgate.leases import Lease, Leases
from pushgate.ledger import Ledger, read_ledger
from pushgate.log import History, Log, LogEntry, RedisLog
from pushgate.memory import MemoryJobQueue, MemoryLog
from pushgate.publish import delete_channel, publish, publish_straight
from pushgate.publisher_control import PublisherControl, PublisherState
from pushgate.redis_job_queue import RedisJobQueue
from pushgate.settings import Settings
from pushgate.tracer import Tracer

__all__ = [
    "Control",
    "Cursor",
    "Event",
    "Finished",
    "Frame",
    "FrameTooLarge",
    "History",
    "InvalidChannel",
    "InvalidCursor",
    "InvalidEvent",
    "InvalidSetting",
    "Job",
    "JobQueue",
    "Keys",
    "Lease",
    "LeaseLost",
    "Leases",
    "Ledger",
    "Log",
    "LogEntry",
    "MarkMoved",
    "MemoryJobQueue",
    "MemoryLog",
    "Outcome",
    "PublisherControl",
    "PublisherState",
    "PushgateError",
    "QueueFull",
    "RedisJobQueue",
    "RedisLog",
    "Settings",
    "Tracer",
    "check_channel",
    "connect",
    "delete_channel",
    "frame_of",
    "publish",
    "publish_straight",
    "read_ledger",
    "tombstone_of",
]
