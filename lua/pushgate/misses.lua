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
-- As long as no frame of any channel comes, what was looked at once need not be again.
--
-- Phases: wherever the engine sends from; begin() access too.

local cursor = require("pushgate.cursor")
local recent = require("pushgate.recent")

local _M = {}

-- Between two looks at least; longer than a frame takes to a subscriber that takes it.
local LOOK_SECONDS = 5

-- All that has been noted up to now comes by other ways: nothing of it can be missed.
function _M.begin(subscriber)
    subscriber.sequence = recent.total()
end

-- Whether a frame that was there at the last look lies behind where the subscriber is.
function _M.has_missed(subscriber)
    local total = recent.total()
    if total == subscriber.sequence then
        return false
    end
    local now = ngx.now()
    local newest, is_same = subscriber.newest, total == subscriber.looked_total
    if not newest then
        newest = {}
        subscriber.newest = newest
    elseif now - subscriber.looked_at < LOOK_SECONDS then
        return false
    end
    subscriber.looked_at, subscriber.looked_total = now, total
    for i, name in ipairs(subscriber.names) do
        local block = newest[i] and recent.frame(name, newest[i])
        local at = block and cursor.of_block(block)
        if at and at.epoch == subscriber.epoch
            and cursor.is_after(at.ms, at.seq, subscriber.ms, subscriber.seq)
        then
            return true
        end
        local number = recent.newest(name)
        is_same = is_same and newest[i] == number
        newest[i] = number
    end
    if is_same then
        -- All there is had come at the last look.
        subscriber.sequence, subscriber.newest = total, nil
        subscriber.looked_at, subscriber.looked_total = nil, nil
    end
    return false
end

return _M
