-- append_frames: included by every script that publishes.
-- A frame goes into the log and, under the same id, into the history of each of its channels. What
-- needs doing once for all frames of a script is left to `settle_log` (cutting, expiry) and
-- `book_entries`.
local call = redis.call
local grown, is_grown = {}, {}
local appended = 0

-- A key that is no log takes no frame, and must say so before anything else has been changed: a
-- script that fails half-way is not undone.
local function check_log(log_key)
    call("XLEN", log_key)
end

-- A history that is none, or is ahead of the log (which lost its end), takes no entry: a new one
-- takes its place, and says of itself that it reaches back to nothing before this entry.
local function begin_history(history_key, id, channels, frame, refusal)
    if not refusal:find("WRONGTYPE", 1, true) and not refusal:find("equal or smaller", 1, true) then
        error(refusal)
    end
    call("DEL", history_key)
    call("XADD", history_key, id, "channels", channels, "frame", frame)
    local ms, seq = id:match("^(%d+)-(%d+)$")
    local before = seq == "0" and ("%.0f-999999999999999"):format(ms - 1)
        or ("%s-%.0f"):format(ms, seq - 1)
    call("XSETID", history_key, id, "ENTRIESADDED", 1, "MAXDELETEDID", before)
end

-- Appends one frame; its channels' histories are KEYS[first_key] to KEYS[last_key].
local function append_frame(log_key, first_key, last_key, channels, frame)
    local id = call("XADD", log_key, "*", "channels", channels, "frame", frame)
    appended = appended + 1
    for i = first_key, last_key do
        local history_key = KEYS[i]
        local added = redis.pcall("XADD", history_key, id, "channels", channels, "frame", frame)
        if type(added) == "table" and added.err then
            begin_history(history_key, id, channels, frame, added.err)
        end
        if not is_grown[history_key] then
            is_grown[history_key] = true
            grown[#grown + 1] = history_key
        end
    end
    return id
end

-- Appends the `count` frames that stand from ARGV[argument] on (each: number of channels, channels
-- joined by a space, frame) with their histories from KEYS[key] on; only passes over them unless
-- `wanted`. Returns the next key and argument.
local function append_frames(wanted, log_key, count, key, argument)
    for _ = 1, count do
        local after_key = key + ARGV[argument]
        if wanted then
            append_frame(log_key, key, after_key - 1, ARGV[argument + 1], ARGV[argument + 2])
        end
        key, argument = after_key, argument + 3
    end
    return key, argument
end

-- Cuts the log and the histories that grew.
-- A history is cut by XDEL, oldest first, because only XDEL leaves a trace (max-deleted-entry-id)
-- by which a gateway can tell whether the history still reaches back to a cursor. That reads over
-- what was cut before, so it is done for a twentieth of the length at once.
local function settle_log(log_key, log_length, history_length, history_seconds)
    call("XTRIM", log_key, "MAXLEN", "~", log_length)
    for _, history_key in ipairs(grown) do
        local surplus = call("XLEN", history_key) - history_length
        if surplus > history_length / 20 then
            for first = 1, surplus, 1000 do
                local oldest = call("XRANGE", history_key, "-", "+",
                    "COUNT", math.min(1000, surplus - first + 1))
                for i, entry in ipairs(oldest) do
                    oldest[i] = entry[1]
                end
                call("XDEL", history_key, unpack(oldest))
            end
        end
        call("EXPIRE", history_key, history_seconds)
    end
end

-- Books what was appended to the log, in a column of the ledger.
local function book_entries(ledger_key, column)
    if appended > 0 then
        call("HINCRBY", ledger_key, column, appended)
    end
end
