-- Whether a subscriber has missed a frame, found out by looking: every promise of an engine is kept
-- by somebody's code.
--
-- The push-stream module, for one, throws channels away that nobody subscribes to, and a worker
-- that registers a subscriber in the same moment may be left with a channel that gets no frame any
-- more (0.6.0, read in its source: the two do not exclude each other).
--
-- A subscriber at rest is looked at with each ping. The frame that was its channel's newest at the
-- last look has been handed over for longer than any frame takes; if the subscriber has not got so
-- far, it never will, and must resume.
--
-- One that is kept busy by another of its channels gets farther all the same. So the frames that
-- were owed to it are counted against those that came (audit.lua): of one that lacks any, the
-- cursor is already past them, and it must be told.
--
-- As long as no frame of any channel comes, what was looked at once need not be again.
--
-- Phases: wherever the engine sends from; begin() access too.

local audit = require("pushgate.audit")
local cursor = require("pushgate.cursor")
local monotonic = require("pushgate.monotonic")
local recent = require("pushgate.recent")

local _M = {}

-- Between two looks at least; longer than a frame takes to a subscriber that takes it.
local LOOK_SECONDS = 5

-- All that has been noted up to now comes by other ways: nothing of it can be missed.
function _M.begin(subscriber)
    subscriber.sequence = recent.total()
end

-- What the subscriber has missed: "missed", a frame that was there at the last look and lies behind
-- where it is; "gap", one before where it is; nil, nothing.
function _M.look(subscriber)
    local total = recent.total()
    if total == subscriber.sequence then
        return nil
    end
    local now = monotonic.now()
    local newest, is_same = subscriber.newest, total == subscriber.looked_total
    if not newest then
        newest = {}
        subscriber.newest = newest
    elseif now - subscriber.looked_at < LOOK_SECONDS then
        return nil
    end
    subscriber.looked_at, subscriber.looked_total = now, total
    for i, name in ipairs(subscriber.names) do
        local block = newest[i] and recent.frame(name, newest[i])
        local at = block and cursor.of_block(block)
        if at and at.epoch == subscriber.epoch
            and cursor.is_after(at.ms, at.seq, subscriber.ms, subscriber.seq)
        then
            return "missed"
        end
        local number = recent.newest(name)
        is_same = is_same and newest[i] == number
        newest[i] = number
    end
    if audit.lacking(subscriber) > 0 then
        return "gap"
    end
    if is_same then
        -- All there is had come at the last look.
        subscriber.sequence, subscriber.newest = total, nil
        subscriber.looked_at, subscriber.looked_total = nil, nil
    end
    return nil
end

return _M
