-- Follows the log and hands its entries to the engine, in order, one worker at a time.
--
-- Phase: a timer that worker.lua starts in every worker. The worker that holds the lease (shared
-- dict, three seconds, renewed with every turn) is the tail; when it dies or ends, another one
-- goes on after `position.done()`. It may then hand over again what the last one handed over
-- without having said so; subscribers drop those by their id.
--
-- An entry that the engine does not take now is tried again until it does; the log waits meanwhile.
-- One that it refuses for good (too large) cannot be sent live: its channels' subscribers are told
-- to resume, and get it from history. Nothing is skipped silently.

local config = require("pushgate.config")
local counters = require("pushgate.counters")
local cursor = require("pushgate.cursor")
local engine = require("pushgate.engine")
local frames = require("pushgate.sse.frames")
local generation = require("pushgate.generation")
local history = require("pushgate.history")
local position = require("pushgate.position")
local recent = require("pushgate.recent")
local redis = require("pushgate.redis")
local revocation = require("pushgate.revocation")

local sleep = ngx.sleep
local state = ngx.shared.pushgate_state

local LEASE_SECONDS = 3
local TRY_LEASE_SECONDS = 0.5
local BLOCK_MS = 1000
local COUNT = 500
local LOOK_SECONDS = 5
-- Open streams are told of revocations this often at the most.
local TELL_SECONDS = 1
-- A timer's memory is given back when it ends; then the next one begins.
local RUN_SECONDS = 60
local BACKOFF_MIN_SECONDS, BACKOFF_MAX_SECONDS = 0.05, 2

local _M = {}

-- Whether this worker is on its way out: it may be so before nginx tells it.
local function exiting()
    return ngx.worker.exiting() or not generation.is_current()
end

local function holder()
    return tostring(ngx.worker.pid())
end

-- Takes or renews the lease. Returns whether this worker is the tail.
local function is_tail()
    if state:add("tail:lease", holder(), LEASE_SECONDS) then
        return true
    end
    if state:get("tail:lease") ~= holder() then
        return false
    end
    return (state:set("tail:lease", holder(), LEASE_SECONDS))
end

local function give_up_lease()
    if state:get("tail:lease") == holder() then
        state:delete("tail:lease")
    end
end

-- Sleeps, longer each time in a row, with jitter.
local function back_off(run)
    run.failures = run.failures + 1
    local most = math.min(BACKOFF_MAX_SECONDS, BACKOFF_MIN_SECONDS * 2 ^ run.failures)
    sleep(most * (0.5 + math.random() / 2))
end

local function trouble(run, text)
    if exiting() then
        -- What it needs is taken from it; another one goes on.
        return
    end
    -- Said once, then again only when it changes.
    if state:get("tail:trouble") ~= text then
        ngx.log(ngx.ERR, "the tail waits: ", text)
        state:set("tail:trouble", text)
    end
    run.in_trouble = true
end

local function untroubled(run)
    run.failures = 0
    state:set("tail:seen", ngx.now())
    if run.in_trouble or state:get("tail:trouble") then
        run.in_trouble = false
        state:delete("tail:trouble")
        ngx.log(ngx.WARN, "the tail goes on")
    end
end

-- Returns an open link to the engine; or nil and an error.
local function link_of(run)
    if not run.link then
        local ok, err = engine.get().ready()
        if not ok then
            return nil, err
        end
        run.link, err = engine.get().open()
        if not run.link then
            return nil, err
        end
    end
    return run.link
end

local function drop_link(run)
    if run.link then
        run.link:close()
        run.link = nil
    end
end

-- Tells all subscribers something. Returns true; or nil and an error.
local function tell_all(run, comment)
    local link, err = link_of(run)
    if not link then
        return nil, err
    end
    local ok
    ok, err = link:tell_all(comment)
    if not ok then
        drop_link(run)
        return nil, err
    end
    return true
end

-- The log does not hold what has been shown, or another part has begun a new epoch: goes on at its
-- end, and has every subscriber told.
local function begin_epoch(found)
    ngx.log(ngx.WARN, "the epoch is now ", found.epoch, "; the log goes on at ", found.text)
    state:set("tail:untold", frames.EPOCH)
    position.move(found)
    counters.add("epochs")
end

-- Looks whether the log is still the one that was followed. Returns true; or nil and an error.
local function look(run, connection)
    local begun, err = position.begin()
    if not begun then
        return nil, err
    end
    local done = position.done()
    local found
    found, err = position.ask(connection)
    if not found then
        return nil, err
    end
    if found.epoch == done.epoch and cursor.is_after(done.ms, done.seq, found.ms, found.seq) then
        found, err = position.ask_to_move(connection, done)
        if not found then
            return nil, err
        end
    end
    if found.epoch ~= done.epoch then
        begin_epoch(found)
    elseif cursor.is_after(found.ms, found.seq, done.ms, done.seq) then
        -- Entries between `done` and the log's oldest one may have been cut off unread.
        local info
        info, err = connection:call("xinfo", "STREAM", config.get().keys.log)
        if not info then
            return nil, err
        end
        if not history.log_holds_all_after(info, done) then
            ngx.log(ngx.ERR, "the log was cut off behind ", done.text, "; subscribers resume")
            state:set("tail:untold", frames.RESUME)
            position.move(found)
        end
    end
    if revocation.is_followed() then
        local ok
        ok, err = revocation.look(connection)
        if not ok then
            return nil, err
        end
    end
    run.looked_at = ngx.now()
    return true
end

-- Tells what look() found, also when the worker that found it is gone. Returns true; or nil and an
-- error.
local function tell_what_is_untold(run)
    local comment = state:get("tail:untold")
    if not comment then
        return true
    end
    local ok, err = tell_all(run, comment)
    if not ok then
        return nil, err
    end
    state:delete("tail:untold")
    return true
end

-- Tells open streams of revocations. Returns for how long the log may be waited for; or nil and an
-- error.
local function tell_revoked(run)
    if not revocation.is_untold() then
        return BLOCK_MS
    end
    local wait_ms = (run.told_at + TELL_SECONDS - ngx.now()) * 1000
    if wait_ms >= 1 then
        return math.min(BLOCK_MS, math.ceil(wait_ms))
    end
    -- First, so that an entry of this moment is told of again.
    revocation.set_untold(false)
    run.told_at = ngx.now()
    local ok, err = tell_all(run, frames.LOOK)
    if not ok then
        revocation.set_untold(true)
        return nil, err
    end
    return BLOCK_MS
end

-- Reads the log, and the revocations beside it. Returns the log's entries; or nil and an error.
local function read(connection, done, wait_ms)
    local log, revoked = config.get().keys.log, config.get().keys.revoked
    local streams, after = { log }, { cursor.entry_id(done) }
    if revocation.is_followed() and revocation.is_known() then
        streams[2], after[2] = revoked, revocation.position()
    end
    local found, err = connection:read_streams(streams, after, COUNT, wait_ms)
    if not found then
        return nil, err
    end
    if found[revoked] then
        revocation.take(found[revoked])
    end
    return found[log]
end

-- Reads what the log gave. Returns entries as the engine takes them, without the malformed ones.
local function read_entries(raw_entries, epoch)
    local entries = {}
    for i = 1, #raw_entries do
        local entry = history.read_entry(raw_entries[i])
        if entry then
            entry.position = cursor.of_entry(epoch, entry.id)
            if entry.deletes then
                counters.add("deletions")
                entry.block = frames.reset("deleted", entry.position.text, entry.names)
            else
                entry.block = frames.with_id(entry.position.text, entry.frame)
            end
            entries[#entries + 1] = entry
        else
            counters.add("malformed")
            ngx.log(ngx.ERR, "skipped a malformed log entry: ", tostring(raw_entries[i][1]))
        end
    end
    return entries
end

-- A subscriber takes its counters first and `now` afterwards: the entries its counters already
-- hold are then at or before its `now`. So `now` moves first here, then the counters.
local function announce(entry)
    position.announce(entry.position)
    for i = 1, #entry.names do
        recent.note(entry.names[i], entry.block)
    end
end

-- The engine will never take this entry. Returns true; or nil and an error.
local function refused(run, entry, why)
    counters.add("refused")
    ngx.log(ngx.ERR, "log entry ", entry.id, " cannot be sent live: ", why,
        "; the subscribers of ", table.concat(entry.names, " "), " resume")
    local link, err = link_of(run)
    if not link then
        return nil, err
    end
    local ok
    ok, err = link:tell(entry.names, frames.RESUME)
    if not ok then
        drop_link(run)
    end
    return ok, err
end

-- Hands over all entries, however long it takes. Returns true; false when this worker must stop.
local function deliver(run, entries)
    local from, announced = 1, 0
    while from <= #entries do
        if exiting() or not is_tail() then
            return false
        end
        while announced < math.min(#entries, from + 63) do
            announced = announced + 1
            announce(entries[announced])
        end
        local link, err = link_of(run)
        local taken, for_good = 0, false
        if link then
            taken, err, for_good = link:hand_over(entries, from)
        end
        if taken > 0 then
            from = from + taken
            position.hand_over(entries[from - 1].position)
            counters.add("handed_over", taken)
            untroubled(run)
        end
        if err then
            drop_link(run)
            local told = false
            if for_good then
                told, err = refused(run, entries[from], err)
                if told then
                    position.hand_over(entries[from].position)
                    from = from + 1
                end
            end
            if not told and taken == 0 then
                trouble(run, err)
                back_off(run)
            end
        end
    end
    return true
end

-- One turn with an open connection. Returns true; nil and an error; or false to stop.
local function turn(run, connection)
    if ngx.now() - run.looked_at >= LOOK_SECONDS or state:get("tail:look") then
        state:delete("tail:look")
        local ok, err = look(run, connection)
        if not ok then
            return nil, err
        end
    end
    local ok, err = tell_what_is_untold(run)
    if not ok then
        return nil, err
    end
    local wait_ms
    wait_ms, err = tell_revoked(run)
    if not wait_ms then
        return nil, err
    end
    local done = position.done()
    local raw
    raw, err = read(connection, done, wait_ms)
    if not raw then
        return nil, err
    end
    untroubled(run)
    if #raw == 0 then
        return true
    end
    if not deliver(run, read_entries(raw, done.epoch)) then
        return false
    end
    -- Malformed entries at the end have been handed to nobody.
    local last = cursor.of_entry(done.epoch, tostring(raw[#raw][1]))
    position.announce(last)
    position.hand_over(last)
    return true
end

-- Follows the log until this worker is no longer the tail or the timer has run long enough.
local function follow(run)
    local connection
    while not exiting() and ngx.now() < run.ends_at and is_tail() do
        local ok, err
        if not connection then
            connection, err = redis.open()
            run.looked_at = 0
        end
        if connection then
            ok, err = turn(run, connection)
            if ok == false then
                break
            end
        end
        if not ok then
            if connection then
                connection:close()
                connection = nil
            end
            trouble(run, err)
            back_off(run)
        end
    end
    if connection then
        connection:close()
    end
    drop_link(run)
end

local function run(premature)
    if premature then
        return
    end
    local this = { failures = 0, looked_at = 0, told_at = 0, ends_at = ngx.now() + RUN_SECONDS }
    while not exiting() and ngx.now() < this.ends_at do
        if is_tail() then
            local ok, err = pcall(follow, this)
            if not ok then
                ngx.log(ngx.ERR, "the tail failed and begins again: ", err)
                drop_link(this)
                sleep(BACKOFF_MAX_SECONDS * math.random())
            end
        else
            sleep(TRY_LEASE_SECONDS * (0.5 + math.random() / 2))
        end
    end
    if exiting() then
        give_up_lease()
    else
        _M.start()
    end
end

-- Starts the timer in this worker.
function _M.start()
    local ok, err = ngx.timer.at(0, run)
    if not ok then
        ngx.log(ngx.ERR, "could not start the tail's timer: ", err)
    end
end

-- What is wrong with following the log, as one sentence; nil when nothing is.
function _M.trouble()
    local text = state:get("tail:trouble")
    if text then
        return "the log is not followed: " .. text
    end
    local seen = state:get("tail:seen")
    if not seen then
        return "the log has not been read yet"
    end
    local age = ngx.now() - seen
    if age > LEASE_SECONDS + LOOK_SECONDS then
        return ("the log was last read %.0f seconds ago"):format(age)
    end
    return nil
end

return _M
