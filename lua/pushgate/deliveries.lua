-- How many frames this worker has handed to subscribers, and how late.
--
-- Late is the time from a frame's entry into the log (its id, by Redis' clock) to the moment its
-- bytes are handed to nginx for a subscriber's socket. The clock is not read for each subscriber:
-- a frame goes to its subscribers of one worker in a row, and it is read at the 1st, 2nd, 4th,
-- ... 256th and then at every 256th of them. A reading holds for those since the reading before,
-- and the last one for the few behind it. Frames out of history or `recent` are counted elsewhere
-- (subscribe.lua) and are not timed.
--
-- Phases: wherever the engine sends from. Neither yields.

local counters = require("pushgate.counters")

local held = counters.held
local now = ngx.now
local update_time = ngx.update_time

local MOST_BETWEEN = 256
-- Upper bounds in seconds.
local BOUNDS = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 1, 2.5, 5, 10, 30, math.huge }
local BUCKETS = {}
for i, bound in ipairs(BOUNDS) do
    BUCKETS[i] = "late:" .. (bound == math.huge and "+Inf" or tostring(bound))
    held[BUCKETS[i]] = 0
end
held.deliveries, held.bytes, held.late_seconds = 0, 0, 0

local _M = { BOUNDS = BOUNDS, BUCKETS = BUCKETS }

-- By how many seconds Redis' clock is ahead of this machine's.
local ahead_seconds = 0

-- What is known of the frame that goes out now: `passed` counts its subscribers, and observe() is
-- wanted when it reaches `mark`.
function _M.new(block, at)
    return { block = block, cursor = at, passed = 0, mark = 1, observed = 0, booked = 0,
        late_seconds = 0 }
end

local function book_late(seen)
    local amount, late = seen.passed - seen.observed, seen.late_seconds
    if amount == 0 then
        return
    end
    local i = 1
    while late > BOUNDS[i] do
        i = i + 1
    end
    held[BUCKETS[i]] = held[BUCKETS[i]] + amount
    held.late_seconds = held.late_seconds + amount * late
    seen.observed = seen.passed
end

-- Reads the clock.
function _M.observe(seen)
    update_time()
    -- The two clocks may differ by more than a frame takes.
    seen.late_seconds = math.max(0, now() + ahead_seconds - seen.cursor.ms / 1000)
    book_late(seen)
    seen.mark = seen.passed + math.min(seen.passed, MOST_BETWEEN)
end

-- Brings the counters up to date with the frame.
function _M.settle(seen)
    local amount = seen.passed - seen.booked
    if amount > 0 then
        held.deliveries = held.deliveries + amount
        held.bytes = held.bytes + amount * #seen.block
        seen.booked = seen.passed
        book_late(seen)
    end
end

function _M.set_clock(seconds)
    ahead_seconds = seconds
end

return _M
