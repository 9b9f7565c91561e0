-- GET /metrics: what this gateway counts, for Prometheus.
--
-- Phase: content of locations/metrics.conf, on private listeners only. Counts of the other workers
-- are up to a second old. Reasons are fixed words of ours (counters.lua).

local answer = require("pushgate.answer")
local config = require("pushgate.config")
local counters = require("pushgate.counters")
local deliveries = require("pushgate.deliveries")
local engine = require("pushgate.engine")
local exposition = require("pushgate.exposition")
local lag = require("pushgate.lag")
local position = require("pushgate.position")
local receipt_books = require("pushgate.receipt_books")
local recent = require("pushgate.recent")

local _M = {}

-- counter, metric, help
local COUNTERS = {
    { "streams_opened", "pushgate_streams_opened_total", "Streams begun." },
    { "resumes", "pushgate_resumes_total", "Streams taken up at a cursor." },
    { "replayed", "pushgate_replayed_frames_total",
        "Frames sent out of history, or noted while the stream began." },
    { "deliveries", "pushgate_deliveries_total", "Frames handed live to a subscriber's socket." },
    { "polls", "pushgate_polls_total", "Polls answered." },
    { "deletions", "pushgate_deletions_total", "Deletions of channels told of." },
    { "bytes", "pushgate_delivered_bytes_total",
        "Bytes of streams, without what HTTP and TLS add; pings not counted." },
    { "epochs", "pushgate_epochs_total", "Times the log had lost what it had shown." },
    { "short", "pushgate_frames_short_total",
        "Frames that a stream should have had and had not; anything but 0 is a fault." },
    { "unaudited", "pushgate_streams_unaudited_total",
        "Streams ended whose frames could not be compared with what they were owed." },
    { "workers_killed", "pushgate_workers_killed_total",
        "Workers that ended without a word; what they counted in their last second is not known." },
}
-- counter before its colon, metric, help
local BY_REASON = {
    { "resets", "pushgate_resets_total", "Subscribers told that they may have missed something." },
    { "refusals", "pushgate_refusals_total", "Requests for a stream or a poll that got none." },
    { "malformed", "pushgate_malformed_total",
        "What Redis held where something else should be, by where it was found; passed over." },
    { "departures", "pushgate_departures_total",
        "Streams ended; client: it went or its connection broke." },
}

local function add_counts(out, counts)
    for _, row in ipairs(COUNTERS) do
        out:single(row[2], "counter", row[3], counts[row[1]] or 0)
    end
    for _, row in ipairs(BY_REASON) do
        out:family(row[2], "counter", row[3])
        local names = {}
        for name in pairs(counts) do
            if name:sub(1, #row[1] + 1) == row[1] .. ":" then
                names[#names + 1] = name
            end
        end
        table.sort(names)
        for _, name in ipairs(names) do
            out:sample(row[2], counts[name], "reason", name:sub(#row[1] + 2))
        end
    end
    local amounts = {}
    for i, bucket in ipairs(deliveries.BUCKETS) do
        amounts[i] = counts[bucket] or 0
    end
    out:histogram("pushgate_delivery_seconds",
        "From a frame's entry into the log to a subscriber's socket, live frames alone.",
        deliveries.BOUNDS, amounts, counts.late_seconds or 0)
end

local function add_log(out)
    local books = position.books()
    if books then
        out:family("pushgate_log_entries_total", "counter",
            "Entries of the log by what became of them.")
        for _, column in ipairs(position.COLUMNS) do
            out:sample("pushgate_log_entries_total", books[column], "outcome", column)
        end
    end
    local late, _, age = lag.now()
    out:single("pushgate_tail_lag_seconds", "gauge",
        "How old the entry handed over last was then, or the one on its way is by now.", late)
    out:single("pushgate_tail_read_age_seconds", "gauge", "How long ago the log was read.", age)
    out:single("pushgate_ready", "gauge", "Whether /readyz says so.", lag.trouble() and 0 or 1)
end

local function add_memory(out)
    local rows = {}
    for name, dict in pairs(ngx.shared) do
        rows[#rows + 1] = { name, dict:capacity(), dict:free_space() }
    end
    table.sort(rows, function(a, b)
        return a[1] < b[1]
    end)
    out:family("pushgate_memory_bytes", "gauge", "Size of a shared memory.")
    for _, row in ipairs(rows) do
        out:sample("pushgate_memory_bytes", row[2], "zone", row[1])
    end
    out:family("pushgate_memory_free_bytes", "gauge",
        "Pages of it that nothing has needed yet or any more.")
    for _, row in ipairs(rows) do
        out:sample("pushgate_memory_free_bytes", row[3], "zone", row[1])
    end
    out:single("pushgate_recent_evictions_total", "counter",
        "Thrown out of pushgate_recent before its time: it is too small.", recent.evictions())
end

function _M.run()
    if ngx.req.get_method() ~= "GET" then
        return answer.method("GET")
    end
    local counts = counters.read()
    local out = exposition.new()
    out:single("pushgate_connections", "gauge", "Connections of nginx, private ones too.",
        tonumber(ngx.var.connections_active))
    out:single("pushgate_subscribers", "gauge", "Streams open.", (counts.streams_opened or 0)
        - (counts.streams_ended or 0) - (counts.streams_lost or 0))
    local status, summary = engine.get().statistics("")
    if status == 200 then
        out:single("pushgate_channels", "gauge",
            "Channels the engine holds; each stays for a while after its last subscriber.",
            summary.channels)
        out:single("pushgate_engine_messages_in_trash", "gauge",
            "Frames that have gone out and whose memory is not free yet.",
            summary.messages_in_trash)
    end
    add_counts(out, counts)
    if config.get().takes_receipts then
        receipt_books.expose(out, counts)
    end
    add_log(out)
    add_memory(out)
    return answer.text(200, exposition.CONTENT_TYPE, out:text())
end

return _M
