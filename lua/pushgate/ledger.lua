-- GET /ledger: this gateway's books, as JSON, and whether they balance.
--
--   log      what Redis says it gave the log while this gateway followed it, against what the tail
--            booked: entries = handed_over + malformed + refused + cut; `place` is how many entries
--            Redis ever gave it up to there, as the tail counts them
--   streams  opened = open + ended + lost (with killed workers)
--   frames   of the streams that were audited: owed + again = came + short, and none is `short`
--            (audit.lua); and of all: deliveries = live + replayed, out of history
--
-- Phase: content of locations/ledger.conf, on private listeners only. It waits until all workers
-- have told what they counted, about a second; `stale_workers` have not.

local answer = require("pushgate.answer")
local config = require("pushgate.config")
local counters = require("pushgate.counters")
local cursor = require("pushgate.cursor")
local history = require("pushgate.history")
local position = require("pushgate.position")
local redis = require("pushgate.redis")
local stream_info = require("pushgate.stream_info")

-- So many entries may be between the tail and the log's end for their number to be known.
local MOST_BEHIND = 1000

local _M = {}

-- How many entries Redis had ever given the log up to the books' position; nil when that cannot be
-- told now, and why; or nil and an error as the third value.
local function place_of(books)
    local log = config.get().keys.log
    local replies, err = redis.with(function(connection)
        local found, why = position.ask(connection)
        if not found then
            return nil, why
        end
        local both
        both, why = connection:together({
            { "xinfo", "STREAM", log },
            { "xrange", log, "(" .. cursor.entry_id(books.position), "+", "COUNT", MOST_BEHIND },
        })
        return both and { epoch = found.epoch, info = both[1], behind = both[2] }, why
    end)
    if not replies then
        return nil, "Redis is away", err
    end
    local info = replies.info
    if replies.epoch ~= books.position.epoch or info[1] == false then
        return nil, "the epoch has moved and the tail has not found out yet"
    end
    local last_id = stream_info.field(info, "last-generated-id")
    local last_ms, last_seq = cursor.parse_id(tostring(last_id))
    if not last_ms
        or cursor.is_after(books.position.ms, books.position.seq, last_ms, last_seq)
    then
        return nil, "the log ends before what the tail has shown"
    end
    if #replies.behind == MOST_BEHIND then
        return nil, "the tail is more than " .. MOST_BEHIND .. " entries behind"
    end
    if #replies.behind > 0 and not history.log_holds_all_after(info, books.position) then
        return nil, "the log was cut off behind the tail"
    end
    local place = stream_info.field(info, "entries-added") - #replies.behind
    if place < position.place(books) then
        return nil, "the log lost entries and the tail has not found out yet"
    end
    return place
end

-- The log's part. `balances` is absent when it cannot be told now; `unknown` says why.
local function log_part()
    local books = position.books()
    if not books then
        return { unknown = "the log has not been read yet" }
    end
    local place, why, err = place_of(books)
    if err then
        ngx.log(ngx.ERR, "could not read the log for the ledger: ", err)
    end
    local part = { from = position.begun(), to = books.position.text,
        handed_over = books.handed_over, malformed = books.malformed, refused = books.refused,
        cut = books.cut, place = position.place(books), unknown = why }
    if place then
        part.entries = position.booked(books) + place - position.place(books)
        part.difference = place - position.place(books)
        part.balances = part.difference == 0
    end
    return part
end

local function amount(counts, name)
    return counts[name] or 0
end

local function streams_part(counts)
    local opened, ended, lost = amount(counts, "streams_opened"), amount(counts, "streams_ended"),
        amount(counts, "streams_lost")
    local audited, unaudited = amount(counts, "audited"), amount(counts, "unaudited")
    local difference = ended - audited - unaudited
    return { opened = opened, ended = ended, lost = lost, open = opened - ended - lost,
        audited = audited, unaudited = unaudited, difference = difference,
        balances = difference == 0 }
end

local function frames_part(counts)
    local live, replayed = amount(counts, "deliveries"), amount(counts, "replayed")
    local owed, came = amount(counts, "owed"), amount(counts, "came")
    local again, short = amount(counts, "again"), amount(counts, "short")
    return { deliveries = live + replayed, live = live, replayed = replayed, owed = owed,
        came = came, again = again, short = short, balances = short == 0 }
end

-- The books as a table.
function _M.read()
    local stale = counters.wait_for_all()
    local counts = counters.read()
    local log, streams, frames = log_part(), streams_part(counts), frames_part(counts)
    local balances
    if log.balances ~= nil then
        balances = log.balances and streams.balances and frames.balances
    elseif not streams.balances or not frames.balances then
        balances = false
    end
    return { gateway = ngx.var.hostname, time = ngx.now(), log = log, streams = streams,
        frames = frames, stale_workers = stale,
        workers_killed = amount(counts, "workers_killed"), balances = balances }
end

function _M.run()
    if ngx.req.get_method() ~= "GET" then
        return answer.method("GET")
    end
    return answer.json(200, require("cjson.safe").encode(_M.read()) .. "\n")
end

return _M
