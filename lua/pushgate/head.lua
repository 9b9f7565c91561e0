-- What a subscriber is given first: the prologue, and what its channels' histories hold behind its
-- cursor; or a reset. Written into its `joining` (subscribe.lua).
--
-- Phase: access.

local config = require("pushgate.config")
local continuity = require("pushgate.continuity")
local counters = require("pushgate.counters")
local cursor = require("pushgate.cursor")
local frames = require("pushgate.sse.frames")
local history = require("pushgate.history")
local position = require("pushgate.position")
local redis = require("pushgate.redis")

local concat = table.concat
local is_after = cursor.is_after
local random = math.random

-- Between two parts of a long history the client need not wait.
local RETRY_MORE_MS = 100

local _M = {}

local function retry_ms()
    local settings = config.get()
    return random(settings.retry_min_ms, settings.retry_max_ms)
end

-- The subscriber has all up to a position.
function _M.move(subscriber, to)
    subscriber.epoch, subscriber.ms, subscriber.seq = to.epoch, to.ms, to.seq
end

-- What begins the stream when nothing can be taken up: a reset at `now`, in one block. Of two, who
-- is cut off between them would have the position and not the word that it is a new one.
local function head_of_reset(reason, now)
    counters.add("resets:" .. reason)
    return frames.retry(retry_ms()) .. frames.reset(reason, now.text)
end

-- Appends entries of history, as they go out, and moves the subscriber behind them.
local function append_history(parts, entries, subscriber, epoch)
    for i = 1, #entries do
        local entry = entries[i]
        -- Other subscribers may be given the same entry.
        entry.block = entry.block or frames.with_id(epoch .. "." .. entry.id, entry.frame)
        parts[#parts + 1] = entry.block
    end
    subscriber.replayed = #entries
    local last = entries[#entries]
    if last and is_after(last.ms, last.seq, subscriber.ms, subscriber.seq) then
        subscriber.ms, subscriber.seq = last.ms, last.seq
    end
end

-- A subscriber who brought no cursor begins now, after what `.bN` asks for.
function _M.begin(subscriber, requested, now)
    _M.move(subscriber, now)
    local parts = { frames.prologue(retry_ms(), now.text) }
    local with_backlog = {}
    for _, channel in ipairs(requested) do
        if channel.backlog > 0 then
            with_backlog[#with_backlog + 1] = channel
        end
    end
    if #with_backlog > 0 then
        local found, err = history.last(with_backlog, now)
        if not found then
            return nil, err
        end
        append_history(parts, found.entries, subscriber, now.epoch)
        -- The browser's last id is an old frame's now; it has what it asked for up to `now`.
        parts[#parts + 1] = frames.id(now.text)
    end
    subscriber.joining.head = concat(parts)
    return true
end

-- Whether nobody can have been given this cursor. One ahead of this gateway's own position may be
-- another gateway's, so that Redis must be asked. Returns true or false; or nil and an error.
local function is_beyond_log(asked, now)
    if not asked or asked.epoch ~= now.epoch
        or not is_after(asked.ms, asked.seq, now.ms, now.seq)
    then
        return false
    end
    local found, err = redis.with(position.ask)
    if not found then
        return nil, err
    end
    return found.epoch == asked.epoch
        and is_after(asked.ms, asked.seq, found.ms, found.seq)
end

-- A subscriber who brought a cursor gets what came after it.
function _M.resume(subscriber, text, now)
    local asked = cursor.parse(text)
    local ahead, trouble = is_beyond_log(asked, now)
    if trouble then
        return nil, trouble
    end
    if not asked or ahead then
        _M.move(subscriber, now)
        subscriber.joining.head = head_of_reset("cursor", now)
        return true
    end
    if asked.epoch == now.epoch and asked.ms == now.ms and asked.seq == now.seq then
        -- Nothing lies behind it, and nobody need be asked: many come back to a site at rest.
        _M.move(subscriber, asked)
        subscriber.joining.head = frames.prologue(retry_ms(), asked.text)
        counters.add("resumes")
        subscriber.resumed = true
        return true
    end
    local found, err = history.after(subscriber.names, asked)
    if not found then
        return nil, err
    end
    if found.reset == "history" and asked.epoch == now.epoch
        and is_after(asked.ms, asked.seq, now.ms, now.seq)
    then
        -- Whatever its channels' histories have lost, the tail has yet to hand over: it is behind
        -- the subscriber. A reset at `now` would give it again what it has.
        found = { entries = {} }
    end
    if found.reset then
        if found.reset == "epoch" and asked.epoch == now.epoch then
            -- It is we who are behind: a position of ours would be the next one to be void.
            continuity.doubt()
            return nil, "this gateway has not seen the new epoch yet"
        end
        _M.move(subscriber, now)
        subscriber.joining.head = head_of_reset(found.reset, now)
        return true
    end
    if asked.epoch ~= now.epoch then
        continuity.doubt()
        return nil, "this gateway has not seen the new epoch yet"
    end
    _M.move(subscriber, asked)
    local parts = { frames.prologue(found.more and RETRY_MORE_MS or retry_ms(), asked.text) }
    append_history(parts, found.entries, subscriber, asked.epoch)
    counters.add("resumes")
    subscriber.resumed = true
    subscriber.joining.head = concat(parts)
    subscriber.joining.ends = found.more
    return true
end

return _M
