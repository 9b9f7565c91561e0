-- Whether a stream got every frame it was owed: the fan-out's part of the books.
--
-- Two sides that know nothing of each other: the tail numbers the frames of each channel in
-- `recent` before the engine gets them; subscribe.lua counts the frames the engine brings to a
-- subscriber. For a stream, `owed` is how far its channels' numbers moved from its beginning up
-- to its cursor, and `came` is how many frames came. When the stream ends, the two must be equal:
-- fewer came means that a frame at or below the cursor was lost, which the client will never ask
-- for again. What lies behind the cursor it gets when it resumes. A frame of two of the stream's
-- channels counts twice on both sides.
--
-- A last frame that never came is behind the cursor, and in no book: misses.lua ends such a stream.
--
-- More may come than is owed: what was under way when the stream began, and what a new tail hands
-- over again; subscribers drop those. When numbers were thrown out of `recent` for want of
-- memory, the stream is `unaudited`.
--
-- The same is asked at pings, by misses.lua: a stream that lacks a frame is told so.
--
-- Phases: begin(), again(), lacking() wherever the engine sends from; finish() log.

local counters = require("pushgate.counters")
local cursor = require("pushgate.cursor")
local recent = require("pushgate.recent")

local is_after = cursor.is_after

local _M = {}

-- Frames that came again, while the subscriber's cursor was at them.
local NONE = { before = 0, extra = 0, last = 0, at = -1 }

-- The stream begins: `numbers` are those of its channels' last frames up to `now`; none when it
-- ends at once. Its history may reach farther.
function _M.begin(subscriber, numbers, now)
    subscriber.numbers = numbers
    if now and is_after(subscriber.ms, subscriber.seq, now.ms, now.seq) then
        subscriber.begun = now
    end
    subscriber.evictions = recent.evictions()
end

-- From here on the stream cannot be audited: the epoch has moved, or its channels are counted anew.
function _M.give_up(subscriber)
    subscriber.numbers = nil
end

-- A frame came that the subscriber has: one of two of its channels, or one of its history.
function _M.again(subscriber, ms, seq)
    if ms ~= subscriber.ms or seq ~= subscriber.seq then
        local begun = subscriber.begun
        if subscriber.passed > 0 or not begun or is_after(begun.ms, begun.seq, ms, seq) then
            return
        end
    end
    local copies = subscriber.copies
    if not copies then
        copies = { before = 0, extra = 0, last = 0, at = -1 }
        subscriber.copies = copies
    end
    if subscriber.passed == 0 then
        copies.before = copies.before + 1
        return
    end
    if copies.at ~= subscriber.passed then
        copies.at, copies.last = subscriber.passed, 0
    end
    copies.extra, copies.last = copies.extra + 1, copies.last + 1
end

-- All frames that came.
local function all_that_came(subscriber)
    local copies = subscriber.copies or NONE
    return subscriber.passed + copies.extra + copies.before
end

-- The number of the channel's last frame in front of the position; whether the one at it was met.
-- Nil when there are too many behind it, or the channel is counted anew.
local function number_before(subscriber, i, ms, seq)
    local name = subscriber.names[i]
    local number, stamp = recent.count(name)
    local met = false
    if stamp ~= subscriber.stamps[i] then
        return nil
    end
    -- A tail keeps a frame and then draws its number; one of two tails at once may draw another
    -- one's and not have kept the frame there yet. It has been handed to nobody; the frame before
    -- it is there, which an older newest one's is not.
    if not recent.position_of(name, number) and recent.position_of(name, number - 1) then
        number = number - 1
    end
    for _ = 1, recent.MOST do
        local at = recent.position_of(name, number)
        -- One that has left `recent` by its age is in front of anything under way.
        if not at or is_after(ms, seq, at.ms, at.seq) then
            return number, met
        end
        met = met or (at.ms == ms and at.seq == seq)
        number = number - 1
    end
    return nil
end

-- Books one stream, or a part of one.
local function book(owed, came)
    counters.add("audited")
    counters.add("owed", owed)
    counters.add("came", came)
    if came < owed then
        counters.add("short", owed - came)
    else
        counters.add("again", came - owed)
    end
end

local function unaudited(subscriber)
    subscriber.numbers = nil
    counters.add("unaudited")
end

-- How many frames were owed up to the position, exclusive, and whether the one at it is known.
local function owed_before(subscriber, ms, seq)
    local owed, met = 0, false
    for i = 1, #subscriber.names do
        local number, here = number_before(subscriber, i, ms, seq)
        if not number then
            return nil
        end
        owed, met = owed + number - subscriber.numbers[i], met or here
    end
    return owed, met
end

-- How many frames were owed up to the cursor, and how many came. Nil when nobody can know.
local function balance(subscriber)
    if not subscriber.numbers or recent.evictions() ~= subscriber.evictions then
        return nil
    end
    if subscriber.passed == 0 then
        return 0, 0
    end
    local owed, met = owed_before(subscriber, subscriber.ms, subscriber.seq)
    if not owed then
        return nil
    end
    local came = all_that_came(subscriber)
    -- The last frame's other copies may be under way: neither side has it. When it has left
    -- `recent` by its age, both have all of it.
    if met then
        local copies = subscriber.copies or NONE
        came = came - 1 - (copies.at == subscriber.passed and copies.last or 0)
    end
    return owed, came
end

-- How many frames before its cursor the stream lacks, as far as that can be known. Each tail hands
-- over in the log's order and each worker's frames come in that order, so they will not come.
function _M.lacking(subscriber)
    local owed, came = balance(subscriber)
    return owed and math.max(0, owed - came) or 0
end

-- The stream has ended.
function _M.finish(subscriber)
    local owed, came = balance(subscriber)
    if not owed then
        return unaudited(subscriber)
    end
    if came < owed then
        ngx.log(ngx.ERR, "a stream of ", table.concat(subscriber.names, " "), " lacked ",
            owed - came, " frames before ", ("%.0f-%.0f"):format(subscriber.ms, subscriber.seq))
    end
    book(owed, came)
end

return _M
