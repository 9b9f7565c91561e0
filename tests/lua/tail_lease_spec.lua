-- The lease of the tail, among workers that live and die.

local stand_ins = require("stand_ins")

describe("the lease of the tail", function()
    local alive, lease, me

    -- Whether a worker is the tail.
    local function holds(pid)
        me = pid
        return lease.hold()
    end

    before_each(function()
        alive = { [1] = true, [2] = true, [3] = true }
        _G.ngx = {
            shared = { pushgate_state = stand_ins.dict() },
            worker = { pid = function() return me end },
        }
        package.loaded["pushgate.processes"] = {
            is_alive = function(pid) return alive[pid] or false end,
        }
        package.loaded["pushgate.tail_lease"] = nil
        lease = require("pushgate.tail_lease")
    end)

    it("is one worker's for as long as it lives and renews it", function()
        assert.is_true(holds(1))
        assert.is_false(holds(2))
        assert.is_true(holds(1))
    end)

    it("is the next one's at once when it was given up", function()
        assert.is_true(holds(1))
        lease.give_up()
        assert.is_true(holds(2))
        assert.is_false(holds(1))
    end)

    it("is given up by nobody but its holder", function()
        assert.is_true(holds(1))
        me = 2
        lease.give_up()
        assert.is_false(holds(2))
    end)

    it("is one successor's at once when its holder is dead", function()
        assert.is_true(holds(1))
        alive[1] = nil
        assert.is_true(holds(2))
        assert.is_false(holds(3))
        alive[2] = nil
        assert.is_true(holds(3))
    end)

    it("is one successor's also when two find the holder dead in the same moment", function()
        local state = ngx.shared.pushgate_state
        assert.is_true(holds(1))
        alive[1] = nil
        local get = state.get
        -- The third worker takes it between the second one's look and its taking.
        state.get = function(...)
            local holder = get(...)
            state.get = get
            assert.is_true(holds(3))
            me = 2
            return holder
        end
        assert.is_false(holds(2))
        assert.is_true(holds(3))
    end)
end)
