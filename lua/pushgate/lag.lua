-- How far this gateway is behind the log, and what is in its way. The tail writes it down, in
-- shared memory; whoever asks how the gateway is reads it.
--
-- Phases: all.

local cursor = require("pushgate.cursor")
local position = require("pushgate.position")

local state = ngx.shared.pushgate_state

-- Farther behind than this, the gateway says that it is not ready.
local LATE_SECONDS = 10
-- The same when the log has not been read for so long: a lease and a look of the tail.
local UNREAD_SECONDS = 8

local _M = {}

-- The log does not get on. Returns whether it did, or was held up by something else.
function _M.begin_trouble(text)
    local is_new = state:get("tail:trouble") ~= text
    if is_new then
        state:set("tail:trouble", text)
    end
    return is_new
end

-- Returns whether there was any.
function _M.end_trouble()
    if not state:get("tail:trouble") then
        return false
    end
    state:delete("tail:trouble")
    return true
end

-- The log has been read, or what was read has been handed over.
function _M.read()
    state:set("tail:seen", ngx.now())
end

-- Whether the log held more than was read.
function _M.set_behind(is_behind)
    state:set("tail:behind", is_behind)
end

-- By how many seconds Redis' clock, which makes the entries' ids, is ahead of ours.
function _M.set_clock(seconds)
    state:set("tail:clock", seconds)
end

function _M.clock()
    return state:get("tail:clock") or 0
end

-- What is at this position has been handed over.
function _M.hand_over(at)
    state:set("tail:late", ngx.now() + _M.clock() - at.ms / 1000)
end

-- By Redis' clock: how old what is handed over was when it was, or is by now; whether there is
-- more; and how long ago the log was read. Nil for what is not known yet.
function _M.now()
    local late, is_behind = state:get("tail:late"), state:get("tail:behind") or false
    local now, done = position.now(), position.done()
    if now and done and now.epoch == done.epoch
        and cursor.is_after(now.ms, now.seq, done.ms, done.seq)
    then
        is_behind = true
        late = math.max(late or 0, ngx.now() + _M.clock() - now.ms / 1000)
    end
    local seen = state:get("tail:seen")
    return late and math.max(0, late), is_behind, seen and math.max(0, ngx.now() - seen)
end

-- In the master: what a reload could not do, which went on all the same; false when there is
-- nothing.
function _M.set_reload_trouble(why)
    if why then
        ngx.log(ngx.ERR, "the reload failed: ", why)
        state:set("reload:trouble", why)
    else
        state:delete("reload:trouble")
    end
end

-- What is wrong with following the log, as one sentence; nil when nothing is.
function _M.trouble()
    local text = state:get("reload:trouble")
    if text then
        return "the last reload failed: " .. text
    end
    text = state:get("tail:trouble")
    if text then
        return "the log is not followed: " .. text
    end
    local late, is_behind, age = _M.now()
    if not age then
        return "the log has not been read yet"
    end
    if age > UNREAD_SECONDS then
        return ("the log was last read %.0f seconds ago"):format(age)
    end
    if is_behind and late > LATE_SECONDS then
        return ("what is handed over now is %.0f seconds old"):format(late)
    end
    return nil
end

return _M
