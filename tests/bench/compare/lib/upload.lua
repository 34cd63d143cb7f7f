-- For wrk: as load.lua, but each request is a POST with a body of BYTES bytes.
local here = debug.getinfo(1, 'S').source:match('^@(.*)upload.lua$')
dofile(here .. 'load.lua')

wrk.method = 'POST'
wrk.headers['Content-Type'] = 'application/octet-stream'
wrk.body = string.rep('x', tonumber(os.getenv('BYTES')))
