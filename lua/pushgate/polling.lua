-- A subscriber that polls: for clients without EventSource, one answer in JSON instead of a stream.
--
--   {"cursor": "<where to ask from next>", "frames": [{"id", "event", "data"}, ...], "reset": null}
--
-- A poll is a stream that ends with the first frames it has: subscribe.lua makes its bytes in the
-- same way, and so with the same proof, and they are written as JSON here. No engine has a part in
-- it. `data` is text, as an EventSource would have it. `reset` is {"reason", "cursor", ...} when
-- there is one, and is then in front of the frames: what came before it is an answer of its own.
--
-- Phase: access. Ends the request.

local answer = require("pushgate.answer")
local config = require("pushgate.config")
local counters = require("pushgate.counters")
local cursor = require("pushgate.cursor")
local generation = require("pushgate.generation")
local position = require("pushgate.position")
local refusal = require("pushgate.refusal")
local stay = require("pushgate.stay")
local subscribe = require("pushgate.subscribe")
local waiting_room = require("pushgate.waiting_room")

local json = require("cjson.safe")

local concat = table.concat
local encode = json.encode
local gmatch = string.gmatch
local match = string.match

local LEAVE_MS = 1000

local _M = {}

-- One block of a stream. Returns {id, event, data}; `event` is nil for an id alone.
local function read_block(block)
    block = "\n" .. block
    return { id = match(block, "\nid: ([^\n]+)"), event = match(block, "\nevent: ([^\n]+)"),
        data = match(block, "\ndata: ([^\n]*)") }
end

-- Takes the blocks of a stream up to a reset that has something before it.
-- Returns frames, the reset's data or nil, the last position, whether that was all.
local function read_stream(text)
    local frames, reset, at = {}, nil, nil
    for block in gmatch(text, "(.-)\n\n") do
        local read = read_block(block)
        if read.event == "reset" then
            if reset or #frames > 0 then
                return frames, reset, at, false
            end
            reset = read.data
        elseif read.event then
            frames[#frames + 1] = '{"id":' .. encode(read.id) .. ',"event":' .. encode(read.event)
                .. ',"data":' .. encode(read.data) .. "}"
        end
        at = read.id or at
    end
    return frames, reset, at, true
end

local function wait_seconds(subscriber)
    local most = config.get().poll_seconds * (0.8 + 0.2 * math.random())
    return math.min(most, subscriber.leaves_ms / 1000 - ngx.now())
end

-- Everything up to `done` is known to whoever reads `recent` after it. Moved on to there, the next
-- poll finds that nothing lies between, and asks Redis nothing.
local function move_on(subscriber, done)
    if done.epoch == subscriber.epoch
        and cursor.is_after(done.ms, done.seq, subscriber.ms, subscriber.seq)
    then
        return done.text
    end
    return nil
end

-- Answers a subscriber of subscribe.prepare(), at once or when it has something.
function _M.run(subscriber)
    local joining = subscriber.joining
    local frames, reset = read_stream(joining.head)
    if #frames == 0 and not reset and not joining.ends then
        waiting_room.wait(subscriber.names, joining.counts, joining.jumps,
            wait_seconds(subscriber))
    end
    if not generation.is_current() then
        -- The next poll is a new worker's.
        ngx.header["Connection"] = "close"
    end
    counters.add("polls")
    local leaves = stay.reason_to_leave(subscriber)
    if leaves then
        -- Asked again from the same cursor it meets the doors again.
        return refusal.for_now(leaves, 0, LEAVE_MS)
    end
    local done = position.done()
    local text, ends = joining.head, true
    if not joining.ends then
        text, ends = subscribe.begin(subscriber, "")
    end
    local at, is_all
    frames, reset, at, is_all = read_stream(text)
    if is_all and not ends then
        at = move_on(subscriber, done) or at
    end
    return answer.json(200, '{"cursor":' .. encode(at) .. ',"frames":[' .. concat(frames, ",")
        .. '],"reset":' .. (reset or "null") .. "}\n")
end

return _M
