-- What the tail says of how it gets on.

local stand_ins = require("stand_ins")

describe("following the log", function()
    local cursor, nginx, state, lag, done, now

    before_each(function()
        nginx = stand_ins.begin({ "lag" })
        cursor = require("pushgate.cursor")
        package.loaded["pushgate.position"] = { done = function() return done end,
            now = function() return now end }
        lag = require("pushgate.lag")
        state = nginx.shared.pushgate_state.values
        done = cursor.of_entry("00000000", "900000-0")
        now = done
        state["tail:seen"], state["tail:late"] = 1000, 0.01
    end)

    teardown(function()
        package.loaded["pushgate.position"] = nil
    end)

    it("is well at rest, however old the last entry", function()
        assert.is_nil(lag.trouble())
        local late, is_behind, age = lag.now()
        assert.same({ 0.01, false, 0 }, { late, is_behind, age })
    end)

    it("is in trouble when the log has not been read for long", function()
        nginx.set_now(1010)
        assert.equal("the log was last read 10 seconds ago", lag.trouble())
    end)

    it("is in trouble while what it hands over is old, and no longer", function()
        state["tail:late"], state["tail:behind"] = 60, true
        assert.equal("what is handed over now is 60 seconds old", lag.trouble())
        state["tail:behind"] = false
        assert.is_nil(lag.trouble())
    end)

    it("is in trouble when an entry on its way grows old, by Redis' clock", function()
        now = cursor.of_entry("00000000", "980000-0")
        assert.equal("what is handed over now is 20 seconds old", lag.trouble())
        state["tail:clock"] = -19
        assert.is_nil(lag.trouble())
        assert.near(1, (lag.now()), 1e-6)
    end)

    it("says what the trouble is", function()
        state["tail:trouble"] = "connection refused"
        assert.equal("the log is not followed: connection refused", lag.trouble())
    end)
end)
