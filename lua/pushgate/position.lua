-- Where this gateway is in the log. Shared by all workers and kept over a reload.
--
-- Two cursors in the shared dict pushgate_state:
--   now   the last entry the tail has announced, that is, is about to hand to the engine; what a
--         subscriber who brings no cursor begins after
--   done  the last entry the engine has taken; what a new tail goes on after
-- Whoever needs them first takes them from Redis, atomically, so that no entry falls between a
-- subscriber's "now" and the place where the tail begins.
--
-- Phases: all. begin() needs access, content or timer, because it asks Redis.

local config = require("pushgate.config")
local cursor = require("pushgate.cursor")
local redis = require("pushgate.redis")

local state = ngx.shared.pushgate_state

local _M = {}

-- The parsed form of the text read last: thousands of connects read the same one.
local parsed = { text = "" }

local function read(name)
    local text = state:get(name)
    if not text then
        return nil
    end
    if text ~= parsed.text then
        parsed = cursor.parse(text)
    end
    return parsed
end

-- 8 hex digits for a new epoch.
local function candidate()
    return ("%08x"):format(math.random(0, 0xffffffff))
end

-- Asks Redis for the epoch and the log's last id. Returns a cursor; or nil and an error.
function _M.ask(connection)
    local keys = config.get().keys
    local reply, err = connection:run("epoch", { keys.epoch, keys.log }, { candidate() })
    if not reply then
        return nil, err
    end
    local found = cursor.of_entry(tostring(reply[1]), tostring(reply[2]))
    if not found then
        return nil, "the script epoch answered no cursor"
    end
    return found
end

-- Asks Redis to begin a new epoch because the log ends before `shown`. Returns the cursor that
-- holds now, also when somebody else was first; or nil and an error.
function _M.ask_to_move(connection, shown)
    local keys = config.get().keys
    local reply, err = connection:run("move_epoch", { keys.epoch, keys.log },
        { shown.epoch, candidate(), ("%.0f"):format(shown.ms), ("%.0f"):format(shown.seq) })
    if not reply then
        return nil, err
    end
    local found = cursor.of_entry(tostring(reply[1]), tostring(reply[2]))
    if not found then
        return nil, "the script move_epoch answered no cursor"
    end
    return found
end

function _M.now()
    return read("now")
end

function _M.done()
    return read("done")
end

-- Sets both to the log's end if nobody has yet. Returns now; or nil and an error.
function _M.begin()
    local now = read("now")
    if now then
        return now
    end
    local found, err = redis.with(_M.ask)
    if not found then
        return nil, err
    end
    -- `done` first: a tail goes on after it, and nobody may be told a `now` before it.
    state:add("done", found.text)
    state:add("now", state:get("done"))
    return read("now")
end

-- How often the two were moved without the entries between having been handed over.
function _M.jumps()
    return state:get("jumps") or 0
end

-- The tail is about to hand over the entry at `position`. Never goes back within an epoch: a new
-- tail announces again what the last one announced and did not hand over.
function _M.announce(position)
    local now = read("now")
    if not now or now.epoch ~= position.epoch
        or cursor.is_after(position.ms, position.seq, now.ms, now.seq)
    then
        state:set("now", position.text)
    end
end

-- The engine has taken everything up to `position`.
function _M.hand_over(position)
    state:set("done", position.text)
end

-- Begins again at `position`, in another epoch or past entries that nobody will hand over.
function _M.move(position)
    -- First, so that whoever has seen the new place knows that it was jumped to.
    state:incr("jumps", 1, 0)
    state:set("done", position.text)
    state:set("now", position.text)
end

return _M
