-- What this gateway has counted since it was started.
--
-- Counting is an increment of a plain table of this worker, `counters.held`, so that the hot path
-- takes no lock. Once a second, and when the worker ends, the worker's whole table goes into the
-- shared dict as ONE record. So what a killed worker leaves behind is its record of its last
-- second: what it counted after that is gone, but what is there belongs together, and its books
-- balance.
--
-- Shared dict pushgate_counts, kept over a reload:
--   worker:<pid>     the record of a worker
--   total:<name>     the sum of what workers that have ended counted
--
-- Names are few and fixed, "<what>" or "<what>:<reason>": nothing that comes from a client becomes
-- part of one. `streams_opened` and `streams_ended` have a meaning here: a killed worker's streams
-- that had not ended are booked as `streams_lost`.
--
-- Phases: all; start() init_worker, finish() exit_worker.

local processes = require("pushgate.processes")

local dict = ngx.shared.pushgate_counts

local FLUSH_SECONDS = 1
local WORKER, TOTAL = "worker:", "total:"

local held = {}
local flushed_at = 0
local has_told = false
-- Called before each flush: they bring up to date what is not counted at once.
local settlers = {}

local _M = { held = held }

function _M.add(name, amount)
    held[name] = (held[name] or 0) + (amount or 1)
end

function _M.before_flush(settle)
    settlers[#settlers + 1] = settle
end

local function own_key()
    return WORKER .. ngx.worker.pid()
end

-- Puts the worker's record into the shared dict.
function _M.flush()
    for i = 1, #settlers do
        settlers[i]()
    end
    flushed_at = ngx.now()
    local parts = { ("%.3f"):format(flushed_at) }
    for name, amount in pairs(held) do
        parts[#parts + 1] = name .. " " .. ("%.17g"):format(amount)
    end
    -- Safely: another worker's record is not thrown out for this one's.
    local ok, err = dict:safe_set(own_key(), table.concat(parts, "\n"))
    if not ok and not has_told then
        has_told = true
        ngx.log(ngx.ERR, "could not keep the counters; pushgate_counts is too small: ", err)
    end
end

-- An ending worker's timers are gone, but its streams may still be ending.
function _M.flush_if_due()
    if ngx.now() - flushed_at >= FLUSH_SECONDS then
        _M.flush()
    end
end

-- Adds up a record in `into`.
local function read_record(text, into)
    for name, amount in text:gmatch("\n(%S+) (%S+)") do
        into[name] = (into[name] or 0) + tonumber(amount)
    end
    return into
end

-- Adds a record to the totals; whoever deletes it has it.
local function fold(key, killed)
    local text = dict:get(key)
    if not text or not dict:safe_add("folding:" .. key, true, 60) then
        return
    end
    local counts = read_record(text, {})
    counts.streams_lost = (counts.streams_opened or 0) - (counts.streams_ended or 0)
    counts.workers_killed = killed and 1 or 0
    dict:delete(key)
    for name, amount in pairs(counts) do
        dict:incr(TOTAL .. name, amount, 0)
    end
end

-- Books the workers that ended without a word.
local function fold_killed()
    for _, key in ipairs(dict:get_keys(0)) do
        local pid = key:match("^" .. WORKER .. "(%d+)$")
        if pid and not processes.is_alive(tonumber(pid)) then
            fold(key, true)
        end
    end
end

-- How many workers have not flushed since a time.
local function stale_since(time)
    local stale = 0
    for _, key in ipairs(dict:get_keys(0)) do
        local text = key:sub(1, #WORKER) == WORKER and dict:get(key)
        local at = text and tonumber(text:match("^%S+"))
        if at and at < time then
            stale = stale + 1
        end
    end
    return stale
end

-- Waits until all workers have flushed, two rounds at most. Returns how many have not: they hang,
-- or are about to end.
function _M.wait_for_all()
    _M.flush()
    local asked_at = flushed_at
    for _ = 1, FLUSH_SECONDS * 2 / 0.05 do
        local stale = stale_since(asked_at)
        if stale == 0 then
            return 0
        end
        ngx.sleep(0.05)
    end
    return stale_since(asked_at)
end

-- All counts, of all workers: this one's to this moment, the others' to their last second.
function _M.read()
    _M.flush()
    local counts = {}
    for _, key in ipairs(dict:get_keys(0)) do
        local value = dict:get(key)
        if key:sub(1, #TOTAL) == TOTAL then
            local name = key:sub(#TOTAL + 1)
            counts[name] = (counts[name] or 0) + (value or 0)
        elseif key:sub(1, #WORKER) == WORKER then
            read_record(value or "", counts)
        end
    end
    return counts
end

function _M.start()
    -- Should a pid come round again, its last owner's record is not to be overwritten.
    fold(own_key(), true)
    dict:delete("folding:" .. own_key())
    fold_killed()
    _M.flush()
    local ok, err = ngx.timer.every(FLUSH_SECONDS, _M.flush)
    if not ok then
        ngx.log(ngx.ERR, "could not start the counters' timer: ", err)
    end
end

function _M.finish()
    _M.flush()
    fold(own_key(), false)
end

return _M
