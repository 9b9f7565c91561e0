-- Where those who poll wait for a frame of their channels: of this worker, each for itself.
--
-- The tail, in whichever worker it is, counts the frames of each channel in shared memory
-- (recent.lua). One timer looks for all who wait here, many times a second: at one number as long
-- as no frame comes, and when some have come at the number of each channel that somebody waits for.
-- Redis is asked nothing, and what it costs does not grow with the number of those who wait.
--
-- Phases: access.

local generation = require("pushgate.generation")
local position = require("pushgate.position")
local recent = require("pushgate.recent")
local semaphore = require("ngx.semaphore")

local next = next
local now = ngx.now
local pairs = pairs
local random = math.random

local LOOK_SECONDS = 0.05
-- A frame may be counted a moment after the count of all, so that one look misses it.
local LOOK_AT_ALL_SECONDS = 1
-- A timer's memory is given back when it ends; then the next one begins.
local RUN_SECONDS = 60
-- When this worker ends, those who wait are sent to a new one, not all in one moment.
local SPREAD_SECONDS = 1

local _M = {}

-- Channel -> {count = frames when it was looked at last, waiters = {waiter -> true}}.
local rooms = {}
local is_looked_after = false

local function is_ending()
    return ngx.worker.exiting() or not generation.is_current()
end

local function wake(room)
    for waiter in pairs(room.waiters) do
        if waiter.semaphore:count() < 0 then
            waiter.semaphore:post()
        end
    end
end

-- Whoever has gone away while it waited was not able to say so.
local function forget_who_is_gone(name, room)
    local time = now()
    for waiter in pairs(room.waiters) do
        if time > waiter.until_time + LOOK_AT_ALL_SECONDS then
            room.waiters[waiter] = nil
        end
    end
    if not next(room.waiters) then
        rooms[name] = nil
    end
end

local function look(seen)
    local frames, jumps = recent.total(), position.jumps()
    local is_time = now() - seen.looked_at >= LOOK_AT_ALL_SECONDS
    local has_jumped = jumps ~= seen.jumps
    if not (is_time or has_jumped or seen.again or frames ~= seen.frames) then
        return
    end
    seen.again = frames ~= seen.frames
    seen.frames, seen.jumps = frames, jumps
    for name, room in pairs(rooms) do
        local count = recent.count(name)
        if has_jumped or count ~= room.count then
            room.count = count
            wake(room)
        end
        if is_time then
            forget_who_is_gone(name, room)
        end
    end
    if is_time then
        seen.looked_at = now()
    end
end

local start

local function run(premature)
    local ends_at = now() + RUN_SECONDS
    local seen = { looked_at = 0 }
    while not premature and next(rooms) and now() < ends_at and not is_ending() do
        ngx.sleep(LOOK_SECONDS)
        look(seen)
    end
    is_looked_after = false
    if premature or is_ending() then
        for _, room in pairs(rooms) do
            wake(room)
        end
    elseif next(rooms) then
        start()
    end
end

function start()
    local ok, err = ngx.timer.at(0, run)
    if not ok then
        ngx.log(ngx.ERR, "those who poll are not woken by frames: ", err)
        return
    end
    is_looked_after = true
end

-- Whether any of the channels has had more frames than `counts` says.
local function has_changed(names, counts)
    for i = 1, #names do
        if recent.count(names[i]) ~= counts[i] then
            return true
        end
    end
    return false
end

local function enter(waiter, names)
    for i = 1, #names do
        local room = rooms[names[i]]
        if not room then
            room = { count = recent.count(names[i]), waiters = {} }
            rooms[names[i]] = room
        end
        room.waiters[waiter] = true
    end
end

local function leave(waiter, names)
    for i = 1, #names do
        local room = rooms[names[i]]
        if room then
            room.waiters[waiter] = nil
            if not next(room.waiters) then
                rooms[names[i]] = nil
            end
        end
    end
end

-- Waits until a channel of `names` has had more frames than `counts` says, or the position has
-- jumped since `jumps`, or this worker ends; `seconds` at the most.
function _M.wait(names, counts, jumps, seconds)
    local waiter = { semaphore = semaphore.new(0), until_time = now() + seconds }
    enter(waiter, names)
    while true do
        local left = waiter.until_time - now()
        if left <= 0 or has_changed(names, counts) or position.jumps() ~= jumps then
            break
        end
        if is_ending() then
            ngx.sleep(random() * math.min(SPREAD_SECONDS, left))
            break
        end
        if not is_looked_after then
            start()
        end
        if not waiter.semaphore:wait(left) then
            break
        end
    end
    leave(waiter, names)
end

return _M
