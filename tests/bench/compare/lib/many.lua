-- For wrk: as load.lua, but with a cookie of its own for each request, in turns, from the file COOKIES (one a line), and PAUSE
-- milliseconds before each.
local here = debug.getinfo(1, 'S').source:match('^@(.*)many.lua$')
dofile(here .. 'load.lua')

local requests, at = {}, 0
local pause = tonumber(os.getenv('PAUSE') or 0)

if pause > 0 then
  function delay()
    return pause
  end
end

function init()
  for line in io.lines(os.getenv('COOKIES')) do
    wrk.headers['Cookie'] = line
    requests[#requests + 1] = wrk.format()
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
