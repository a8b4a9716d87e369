#!/bin/sh
# ns-3 3.44 (PyPI's wheel ns3 3.44.post0): in LAST-ACK any ACK ends the connection, and lost octets are never sent again.
#
# Guess: a client has closed its side, the server sends 10,000 octets and closes too, one segment is lost; the client asks
# with duplicate ACKs, the server sends it again, and the client receives all. Seen: the server takes the first ACK that
# comes in LAST-ACK for the one of its FIN, although its number is far below, and forgets the connection. The client has
# 2,000 octets of 10,000 where the sixth frame is lost, and neither side hears of an error. Without a loss it has all. So a
# simulation of short transfers over a path with loss may count as complete what was cut.
#
# Needs python3 with pip and venv (a version that the wheel is made for), g++ with C++23, 600 MB in the temporary folder.
# No network but the download. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip --quiet install --no-deps ns3==3.44.post0 >pip.log 2>&1 || { echo "cannot install ns3 3.44.post0" >&2; exit 4; }
home=$(echo env/lib/python3*/site-packages/ns3)
cat >last_ack.cc <<'PROGRAM'
// A client connects and closes its side; the server then sends 10,000 octets and closes. One data segment is lost.
#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"
#include "ns3/point-to-point-module.h"

#include <iostream>

using namespace ns3;

static const uint32_t OCTETS = 10000;
static uint32_t received;

static void
Read(Ptr<Socket> socket)
{
    while (Ptr<Packet> packet = socket->Recv())
    {
        received += packet->GetSize();
    }
}

static void
Answer(Ptr<Socket> socket)
{
    uint32_t sent = 0;
    while (sent < OCTETS)
    {
        sent += socket->Send(Create<Packet>(500));
    }
    socket->Close();
}

static void
Failed(Ptr<Socket>)
{
    std::cout << "an error was reported" << std::endl;
}

static void
Accepted(Ptr<Socket> socket, const Address&)
{
    socket->SetCloseCallbacks(MakeCallback(&Answer), MakeCallback(&Failed));
}

int
main(int count, char** words)
{
    bool loses = count > 1;
    GlobalValue::Bind("ChecksumEnabled", BooleanValue(true));
    Config::SetDefault("ns3::TcpSocket::SegmentSize", UintegerValue(500));
    NodeContainer nodes;
    nodes.Create(2);
    PointToPointHelper link;
    link.SetDeviceAttribute("DataRate", StringValue("10Mbps"));
    link.SetChannelAttribute("Delay", StringValue("10ms"));
    NetDeviceContainer devices = link.Install(nodes);
    InternetStackHelper().Install(nodes);
    Ipv4AddressHelper addresses("192.0.2.0", "255.255.255.0");
    Ipv4InterfaceContainer hosts = addresses.Assign(devices);

    Ptr<ReceiveListErrorModel> loss = CreateObject<ReceiveListErrorModel>();
    if (loses)
    {
        loss->SetList({uint32_t(std::stoul(words[1]))}); // of the frames that the client receives
    }
    devices.Get(0)->SetAttribute("ReceiveErrorModel", PointerValue(loss));

    Ptr<Socket> server = Socket::CreateSocket(nodes.Get(1), TcpSocketFactory::GetTypeId());
    server->Bind(InetSocketAddress(Ipv4Address::GetAny(), 80));
    server->Listen();
    server->SetAcceptCallback(MakeNullCallback<bool, Ptr<Socket>, const Address&>(), MakeCallback(&Accepted));
    Ptr<Socket> client = Socket::CreateSocket(nodes.Get(0), TcpSocketFactory::GetTypeId());
    client->SetRecvCallback(MakeCallback(&Read));
    client->SetCloseCallbacks(MakeNullCallback<void, Ptr<Socket>>(), MakeCallback(&Failed));
    Simulator::Schedule(Seconds(1), [=] { client->Connect(InetSocketAddress(hosts.GetAddress(1), 80)); });
    Simulator::Schedule(Seconds(2), [=] { client->Close(); });
    Simulator::Stop(Seconds(300));
    Simulator::Run();
    std::cout << "the server sent " << OCTETS << " octets, the client received " << received << std::endl;
    Simulator::Destroy();
    return 0;
}
PROGRAM
libraries=""
for name in core network internet point-to-point traffic-control stats bridge mpi; do
    [ ! -f "$home/lib64/libns3.44-$name.so" ] || libraries="$libraries -l:libns3.44-$name.so"
done
# shellcheck disable=SC2086  # a list of words
c++ -O0 -std=c++23 -I"$home/include" last_ack.cc -o last_ack -L"$home/lib64" -Wl,-rpath,"$work/$home/lib64" $libraries
echo "nothing is lost: $(./last_ack | tee whole)"
echo "the 6th frame is lost: $(./last_ack 6 | tee cut)"
[ "$(cat whole)" = "the server sent 10000 octets, the client received 10000" ] || exit 1
[ "$(cat cut)" = "the server sent 10000 octets, the client received 2000" ] || exit 1
echo "as described: the rest never comes, and nobody hears of it"
