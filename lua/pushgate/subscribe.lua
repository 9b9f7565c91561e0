-- One subscriber: what it gets first, and what of the live frames it gets. The engine says when
-- and carries the bytes.
--
-- Phases: prepare() access; begin() and pass() wherever the engine sends from, without yielding.
--
-- How history and live are joined without a gap and without a repeat
-- ------------------------------------------------------------------
-- The engine promises one thing: there is a moment at which all channels of a subscriber are
-- registered, so that what is handed over from then on comes live. What was handed over before is
-- in `recent`, because the tail notes each frame there before it hands it to the engine. Hence:
--
--   1. prepare(): take the channels' counters; then `now`; then read history, if a cursor came
--   2. begin(), at that moment: prologue and history, then the frames `recent` has noted since the
--      counters were taken, in the log's order
--   3. pass(), from then on: live frames, in the order in which the tail hands them over
--
-- A frame noted before 1 is in the log before 1, so either history has it or it is at or before
-- `now`. A frame noted between 1 and 2 comes by 2, and perhaps again by 3. One noted after 2 comes
-- by 3. With several channels 2 is not one moment: a frame of the second may be noted while the
-- first has been read and a frame before it, of the first, has not. So `now` is taken again at the
-- beginning of 2, and what was noted behind it is left to 3: the tail notes in the log's order,
-- each frame after `now` has moved to it, so in front of that `now` nothing is yet to be noted.
-- Everything at or below the subscriber's cursor is dropped, and the cursor moves with
-- every frame sent, so each comes once: also the copies of an entry that names two of the channels,
-- and what a new tail hands over again. Each tail hands over contiguously, so a frame never
-- arrives for the first time before the one in front of it.
-- When `recent` no longer holds what it should, the response ends and the client resumes by its
-- cursor.

local audit = require("pushgate.audit")
local awaited = require("pushgate.awaited")
local counters = require("pushgate.counters")
local cursor = require("pushgate.cursor")
local deliveries = require("pushgate.deliveries")
local frames = require("pushgate.sse.frames")
local generation = require("pushgate.generation")
local head = require("pushgate.head")
local misses = require("pushgate.misses")
local position = require("pushgate.position")
local recent = require("pushgate.recent")
local stay = require("pushgate.stay")

local byte = string.byte
local concat = table.concat
local is_after = cursor.is_after
local move = head.move
local of_block = cursor.of_block

-- A subscriber without frames is given a younger id now and then, with a ping: its cursor would
-- otherwise grow older than any history is kept, and its next connect be a needless reset.
local REFRESH_MS = 600 * 1000

local _M = {}

-- The frame seen last in this worker: the same one comes for each of its subscribers in a row.
local seen = deliveries.new("")

-- The cursor of a block with an `id:` line; nil for any other block.
local function cursor_of(block)
    if seen.block ~= block then
        deliveries.settle(seen)
        seen = deliveries.new(block, of_block(block))
    end
    return seen.cursor
end

counters.before_flush(function()
    deliveries.settle(seen)
end)

-- Prepares a subscription. `requested` is a list of {name, backlog}; `cursor_text` is what the
-- client brought along, or nil.
-- Returns a subscriber, whose `names` are its channels; set its `receipts` to what awaited.lua says
-- that it promises. Until begin() it has `joining`: {head,
-- counts, jumps, ends}; one that `ends` gets its `head` and no more. Or nil and an error (the
-- client may come back).
function _M.prepare(requested, cursor_text)
    generation.settle()
    local names, counts, stamps = {}, {}, {}
    for i, channel in ipairs(requested) do
        names[i] = channel.name
        counts[i], stamps[i] = recent.count(channel.name)
    end
    local subscriber = { names = names, stamps = stamps, passed = 0, replayed = 0,
        joining = { counts = counts, jumps = position.jumps() } }
    local now, err = position.begin()
    if not now then
        return nil, err
    end
    local ok
    if cursor_text then
        ok, err = head.resume(subscriber, cursor_text, now)
    else
        ok, err = head.begin(subscriber, requested, now)
    end
    if not ok then
        return nil, err
    end
    return subscriber
end

-- A reset at `now`; what the subscriber gets goes on from there.
local function reset(subscriber, reason, now)
    counters.add("resets:" .. reason)
    move(subscriber, now)
    audit.give_up(subscriber)
    return frames.reset(reason, now.text)
end

local function by_position(a, b)
    return is_after(b.ms, b.seq, a.ms, a.seq)
end

-- Appends the frames noted since the counters were at `numbers`, up to `now`. Returns false when
-- some are gone.
local function append_recent(subscriber, numbers, parts, now)
    local found = {}
    for i, name in ipairs(subscriber.names) do
        local blocks = {}
        local to = recent.append_since(name, numbers[i], blocks)
        if not to then
            return false
        end
        for _, block in ipairs(blocks) do
            local at = of_block(block)
            -- One of another epoch was noted before the epoch moved.
            if at.epoch == subscriber.epoch then
                if is_after(at.ms, at.seq, now.ms, now.seq) then
                    to = to - 1
                else
                    at.block = block
                    found[#found + 1] = at
                end
            end
        end
        numbers[i] = to
    end
    audit.begin(subscriber, numbers, now)
    table.sort(found, by_position)
    for _, at in ipairs(found) do
        if is_after(at.ms, at.seq, subscriber.ms, subscriber.seq) then
            parts[#parts + 1] = at.block
            move(subscriber, at)
            subscriber.replayed = subscriber.replayed + 1
        end
    end
    return true
end

-- Ends the stream. The client comes back after its `retry:` and resumes by its cursor. If that is
-- past a frame which it lacks, it is told.
local function leave(subscriber, reason)
    subscriber.departed = reason
    if reason == "gap" then
        return reset(subscriber, "history", position.now()), true
    end
    return "", true
end

-- The moment at which all channels are registered (see above). `block` is a frame that comes with
-- it, or anything else. Returns what the subscriber gets, and whether its stream ends with it.
function _M.begin(subscriber, block)
    -- What joining takes is not kept for as long as the stream lasts.
    local joining = subscriber.joining
    subscriber.started, subscriber.joining = true, nil
    if joining.is_stream then
        counters.add("streams_opened")
    end
    misses.begin(subscriber)
    -- What was revoked since access was asked has been told before this subscriber could hear it.
    local reason = stay.reason_to_leave(subscriber)
    if reason then
        audit.begin(subscriber, {})
        return leave(subscriber, reason)
    end
    local parts, ends = { joining.head }, joining.ends
    if ends then
        subscriber.departed = "more"
        audit.begin(subscriber, {})
    else
        local now = position.now()
        if now.epoch ~= subscriber.epoch then
            parts[#parts + 1] = reset(subscriber, "epoch", now)
        elseif position.jumps() ~= joining.jumps then
            ends = true
        end
        ends = ends or not append_recent(subscriber, joining.counts, parts, now)
        if ends then
            subscriber.departed = "overrun"
            audit.begin(subscriber, {})
        end
    end
    counters.add("replayed", subscriber.replayed)
    local at = not ends and cursor_of(block)
    if at and at.epoch == subscriber.epoch
        and is_after(at.ms, at.seq, subscriber.ms, subscriber.seq)
    then
        parts[#parts + 1] = block
        move(subscriber, at)
        subscriber.passed = subscriber.passed + 1
        counters.add("deliveries")
    end
    local text = concat(parts)
    counters.add("bytes", #text)
    if subscriber.receipts then
        awaited.expect_all(subscriber.receipts, text)
    end
    return text, ends
end

-- A ping: sometimes with a younger id. What the engine had taken at the ping before is long out of
-- this worker's queue, so a subscriber who has not had it is not to have it.
local function ping(subscriber)
    if ngx.now() * 1000 - subscriber.ms < REFRESH_MS then
        subscriber.taken = nil
        return nil
    end
    local taken = subscriber.taken
    subscriber.taken = position.done()
    if taken and taken.epoch == subscriber.epoch
        and is_after(taken.ms, taken.seq, subscriber.ms, subscriber.seq)
    then
        move(subscriber, taken)
        return frames.id(taken.text)
    end
    return nil
end

-- A comment: the engine's ping, or something the tail tells.
local function comment(subscriber, block)
    local reason = (block == frames.PING or block == frames.LOOK)
        and stay.reason_to_leave(subscriber)
    if reason then
        return leave(subscriber, reason)
    end
    if block == frames.PING then
        return ping(subscriber)
    end
    if block == frames.RESUME then
        return leave(subscriber, "resume")
    end
    local now = position.now()
    if block == frames.EPOCH and now.epoch ~= subscriber.epoch then
        return reset(subscriber, "epoch", now)
    end
    return ""
end

-- What a subscriber gets of a block that the engine has for it: nil for the block as it is; or
-- other text, perhaps "", and whether the stream ends with it. Called thousands of times for each
-- frame: the usual way through is short.
function _M.pass(subscriber, block)
    if byte(block) == 58 then
        return comment(subscriber, block)
    end
    local at = cursor_of(block)
    if not at then
        return nil
    end
    if at.epoch ~= subscriber.epoch then
        local now = position.now()
        if at.epoch ~= now.epoch then
            -- Left over from before the epoch moved.
            return ""
        end
        return reset(subscriber, "epoch", now)
    end
    local ms, seq = at.ms, at.seq
    if ms >= subscriber.leaves_ms then
        return leave(subscriber, stay.reason_to_leave(subscriber) or "age")
    end
    if ms > subscriber.ms or (ms == subscriber.ms and seq > subscriber.seq) then
        subscriber.ms, subscriber.seq = ms, seq
        subscriber.passed = subscriber.passed + 1
        local passed = seen.passed + 1
        seen.passed = passed
        if passed == seen.mark then
            deliveries.observe(seen)
        end
        local receipts = subscriber.receipts
        if receipts then
            awaited.expect(receipts, block)
        end
        return nil
    end
    audit.again(subscriber, ms, seq)
    return ""
end

return _M
