-- The gateway's settings, read once from the environment.
--
-- init_by_lua calls load() in the master (nginx.conf lists the names with `env`); everything else
-- calls get(). A malformed value stops the start with one sentence.

local keys = require("pushgate.keys")
local redis_url = require("pushgate.redis_url")

local tonumber = tonumber

local _M = {}

-- Files of lua/pushgate/engine/.
local ENGINES = { push_stream = true }

local settings

-- Raises: the setting, its value, what to write instead.
local function misuse(name, value, advice)
    error(name .. " \"" .. value .. "\": " .. advice, 0)
end

local function whole_number(env, name, default)
    local value = env(name) or ""
    if value == "" then
        return default
    end
    if not value:find("^[0-9]+$") or #value > 9 then
        misuse(name, value, "use a whole number, " .. default .. " say")
    end
    return tonumber(value)
end

local function text_or(env, name, default)
    local value = env(name) or ""
    return value ~= "" and value or default
end

local function words(text)
    local list = {}
    for word in (text or ""):gmatch("%S+") do
        list[#list + 1] = word
    end
    return list
end

local function on_or_off(env, name, default)
    local value = env(name) or ""
    if value == "" then
        return default
    end
    if value ~= "on" and value ~= "off" then
        misuse(name, value, "use on or off")
    end
    return value == "on"
end

local function needed(env, name)
    local value = env(name) or ""
    if value == "" then
        misuse(name, value, "is needed; nginx/README.md lists the settings")
    end
    return value
end

local UNITS = { [""] = 1, k = 1024, m = 1024 ^ 2, g = 1024 ^ 3 }

-- How many channels the engine may have: half a kilobyte each, in half of its memory.
local function most_channels(env)
    local value = (env("PUSHGATE_ENGINE_MEMORY") or "256m"):lower()
    local number, unit = value:match("^(%d+)([kmg]?)$")
    if not number then
        misuse("PUSHGATE_ENGINE_MEMORY", value, "use a number and k, m or g; 256m say")
    end
    return math.floor(tonumber(number) * UNITS[unit] / 2 / 512)
end

-- How many of a worker's connections may be streams. The rest is for requests that get none, for
-- Redis, the engine and nginx itself.
local function worker_streams(connections)
    return math.max(1, math.floor(connections - math.max(64, connections * 0.05)))
end

-- Reads the settings. `env` is os.getenv, or a stand-in in tests.
function _M.load(env)
    env = env or os.getenv
    local url = env("PUSHGATE_REDIS_URL") or "redis://127.0.0.1:6379/0"
    local address, why = redis_url.parse(url)
    if not address then
        misuse("PUSHGATE_REDIS_URL", redis_url.without_password(url), why)
    end
    local origins = {}
    for _, origin in ipairs(words(env("PUSHGATE_ORIGINS"))) do
        if not origin:find("^https?://[^/%s]+$") then
            misuse("PUSHGATE_ORIGINS", origin, "write scheme://host[:port] without a path")
        end
        origins[origin] = true
    end
    local engine = env("PUSHGATE_ENGINE") or "push_stream"
    if not ENGINES[engine] then
        misuse("PUSHGATE_ENGINE", engine, "use push_stream")
    end
    local new = {
        engine = engine,
        redis = address,
        keys = keys.new(env("PUSHGATE_NAMESPACE") or "pushgate"),
        scripts_dir = needed(env, "PUSHGATE_SCRIPTS_DIR"),
        engine_socket = needed(env, "PUSHGATE_STATE_DIR") .. "/engine.sock",
        public_prefixes = words(env("PUSHGATE_PUBLIC_PREFIXES") or "thread: forum: post:"),
        origins = origins,
        token_keys = env("PUSHGATE_TOKEN_KEYS") or "",
        token_audience = text_or(env, "PUSHGATE_TOKEN_AUDIENCE", "pushgate"),
        cut_at_expiry = on_or_off(env, "PUSHGATE_CUT_AT_EXPIRY", false),
        private_key = env("PUSHGATE_PRIVATE_KEY") or "",
        has_access_log = (env("PUSHGATE_ACCESS_LOG") or "") ~= "",
        retry_min_ms = whole_number(env, "PUSHGATE_RETRY_MIN_MS", 1000),
        retry_max_ms = whole_number(env, "PUSHGATE_RETRY_MAX_MS", 5000),
        most_channels = most_channels(env),
        worker_streams = worker_streams(whole_number(env, "PUSHGATE_CONNECTIONS", 65536)),
        max_streams = whole_number(env, "PUSHGATE_MAX_STREAMS", 0),
        max_streams_per_address = whole_number(env, "PUSHGATE_MAX_STREAMS_PER_ADDRESS", 0),
        max_streams_per_user = whole_number(env, "PUSHGATE_MAX_STREAMS_PER_USER", 0),
        connects_per_second = whole_number(env, "PUSHGATE_CONNECTS_PER_SECOND", 0),
        address_connects_per_second = whole_number(env,
            "PUSHGATE_ADDRESS_CONNECTS_PER_SECOND", 0),
        max_age_seconds = whole_number(env, "PUSHGATE_MAX_AGE_SECONDS", 4 * 3600),
        takes_receipts = on_or_off(env, "PUSHGATE_RECEIPTS", false),
        poll_seconds = whole_number(env, "PUSHGATE_POLL_SECONDS", 25),
    }
    if new.retry_min_ms > new.retry_max_ms then
        misuse("PUSHGATE_RETRY_MIN_MS", tostring(new.retry_min_ms),
            "must not exceed PUSHGATE_RETRY_MAX_MS")
    end
    settings = new
    return new
end

-- The settings; load() must have run.
function _M.get()
    return settings or error("config.load() has not run")
end

return _M
