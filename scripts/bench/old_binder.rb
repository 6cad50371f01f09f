# A binder as github/multibinder's clients know it, to compare with: its gem is not among Debian's packages.
# One client at a time; a request is one message, and so is its answer, with the socket's descriptor.
#
#   old_binder.rb SOCK
require "json"
require "socket"

control = UNIXServer.new(ARGV.fetch(0))
held = {}
loop do
  client = control.accept
  while (text = client.recvmsg.first) && !text.empty?
    request = JSON.parse(text)
    address, port, backlog = request["params"].first.values_at("address", "port", "backlog")
    socket = held[[address, port]] ||= Socket.new(:INET, :STREAM).tap do |one|
      one.setsockopt(:SOCKET, :REUSEADDR, true)
      one.bind(Addrinfo.tcp(address, port))
      one.listen(backlog || 1000)
    end
    answer = JSON.dump(jsonrpc: "2.0", id: request["id"], result: true)
    client.sendmsg(answer, 0, nil, Socket::AncillaryData.unix_rights(socket))
  end
  client.close
end
