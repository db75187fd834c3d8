"""What the doctor says of boxes, real and made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.spec import load
from roles.doctor.answer import parse
from roles.doctor.boards import board, board_of
from roles.doctor.box import Box
from roles.doctor.judge import expected, judge, words
from roles.doctor.patient import Expected
from roles.doctor.report import as_json, redacted, redactor, report
from roles.lib.finding import Finding
from tests.unit.doctor_boxes import FOLDER, GPU, booted, box, real, rules

ROOT = Path(__file__).parents[2]
GIB = 1024**3


def one(findings: list[Finding], rule: str) -> Finding:
    (found,) = [finding for finding in findings if finding.rule == rule]
    return found


def test_half_of_the_memory() -> None:
    finding = one(judge(real("amd-ttm-default"), "halo1"), "GPU's memory")
    assert finding.seen == "GPU sees 62.8 of 125.6 GiB"
    assert finding.expected == "117 GiB"
    assert "ttm.pages_limit=30670848" in finding.fix


def test_enough_is_said_and_is_no_trouble() -> None:
    finding = one(judge(real("noamsto-nix-amd-ai-42"), "halo1"), "GPU's memory is set")
    assert (finding.severity, finding.seen) == ("ok", "GPU sees 96.0 of 125.6 GiB")


def test_capped_at_the_ram_is_enough() -> None:
    findings = judge(real("ubuntu-192gb-capped"), "halo1", Expected(gpu=192))
    assert one(findings, "GPU's memory is set").seen == "GPU sees 186.0 of 186.0 GiB"


def test_what_the_inventory_wants_for_the_gpu() -> None:
    seen = real("noamsto-nix-amd-ai-42")
    assert one(judge(seen, "halo1", Expected(gpu=112)), "GPU's memory").expected == "112 GiB"
    assert "GPU's memory" not in rules(judge(seen, "halo1", Expected(gpu=96)))
    assert "GPU's memory" in rules(judge(seen, "halo1", Expected(reserve=16)))


def test_a_limit_that_waits_for_its_reboot() -> None:
    pending = 'grub /etc/default/grub: GRUB_CMDLINE_LINUX="ttm.pages_limit=30670848"'
    finding = one(judge(real("amd-ttm-default", pending), "halo1"), "GPU's memory")
    assert finding.fix == "reboot: it will boot with ttm.pages_limit=30670848"


AMD_TTM = "modprobe /etc/modprobe.d/ttm.conf: options ttm pages_limit=26214400"


def test_an_option_that_did_not_arrive() -> None:
    """What amd-ttm --set 100 leaves behind where the initramfs was not built again."""
    finding = one(judge(real("amd-ttm-default", AMD_TTM), "halo1"), "parameter did not arrive")
    assert finding.seen == "ttm.pages_limit is 16469033, and /etc/modprobe.d/ttm.conf says 26214400"
    arrived = real("amd-ttm-default", AMD_TTM, "param.ttm.pages_limit 26214400")
    assert "parameter did not arrive" not in rules(judge(arrived, "halo1"))


def test_the_command_line_wins_over_modprobe() -> None:
    seen = booted("ttm.pages_limit=25165824", AMD_TTM, "param.ttm.pages_limit 25165824")
    assert rules(judge(seen, "halo1")) == {"two places for one limit"}


def test_a_large_carve_out() -> None:
    seen = real("gmktec-evo-x2-bios-1.12")
    finding = one(judge(seen, "halo1"), "carve-out")
    assert finding.seen == "the BIOS keeps 64.0 GiB for the GPU alone"
    assert "2048 MiB" in finding.expected
    assert "UMA_SPECIFIED" in finding.fix
    assert "Firmware.md" in finding.source


def test_a_carve_out_that_linux_can_set() -> None:
    """ilya-zlobintsev/LACT#1196 (a Krackan Point laptop)."""
    options = [f"gpu.carveout_option {line}" for line in ("0: Minimum (512 MB)", "1:  (1 GB)", "7: High (16 GB)")]
    seen = box("kernel 7.0.0", *GPU, f"gpu.mem_info_vram_total {16 * GIB}", "gpu.uma/carveout 7", *options)
    fix = one(judge(seen, "halo1"), "carve-out").fix
    assert fix.startswith("write 0 to /sys/bus/pci/devices/0000:c5:00.0/uma/carveout (0: Minimum (512 MB)) and reboot")


@pytest.mark.parametrize(
    ("name", "bios", "smallest"),
    [
        ("gmktec-evo-x2", "EVO-X2 1.12", 2048),
        ("gmktec-evo-x2", "1.11", 1024),
        ("gmktec-evo-x2", "1.05", 512),
        ("gmktec-evo-x2", "", 512),
        ("minisforum-ms-s1-max", "", 1024),
        ("framework-desktop", "03.02", 512),
        ("amd-ryzen-ai-halo", "", 512),
    ],
)
def test_the_least_carve_out(name: str, bios: str, smallest: int) -> None:
    assert board(name, bios).smallest == smallest


@pytest.mark.parametrize(
    ("product", "name"),
    [
        ("Desktop (AMD Ryzen AI Max 300 Series)", "framework-desktop"),
        ("GTR Pro", "beelink-gtr9-pro"),
        ("BeyondMax Series", "bosgame-m5"),
        ("NucBox_EVO-X2", "gmktec-evo-x2"),
        ("MS-S1 MAX", "minisforum-ms-s1-max"),
        ("HP Z2 Mini G1a Workstation Desktop PC", "hp-z2-mini-g1a"),
        ("ThinkPad X1", None),
        ("", None),
    ],
)
def test_boards_by_their_product_name(product: str, name: str | None) -> None:
    found = board_of(box(f"dmi.product_name {product}"))
    assert (found.name if found else None) == name


def test_a_board_with_an_old_kernel() -> None:
    dmi = "dmi.product_name MS-S1 MAX"
    assert "board and kernel" in rules(judge(box("kernel 6.17.9", dmi, *GPU), "halo1"))
    assert "board and kernel" not in rules(judge(box("kernel 6.17.11", dmi, *GPU), "halo1"))
    gtr = one(judge(box("kernel 6.17.9", "dmi.product_name GTR Pro", *GPU), "halo1"), "board and kernel")
    assert "RTL8127 Ethernet ports that board version 2.2 has" in gtr.seen


def test_a_boards_quirk_is_worth_knowing() -> None:
    assert one(judge(box("kernel 6.18.9", "dmi.product_name GTR Pro", *GPU), "halo1"), "board's quirk").severity == "ok"


def test_gpus() -> None:
    assert one(judge(box("kernel 6.18.9"), "halo1"), "no GPU").severity == "warn"
    assert one(judge(box("kernel 6.18.9"), "halo1", Expected(backend="vulkan")), "no GPU to compute with")
    assert "no GPU" not in rules(judge(box("kernel 6.18.9"), "halo1", Expected(backend="cpu")))
    assert one(judge(box("kernel 6.18.9", GPU[0]), "halo1"), "GPU without its driver").severity == "stop"
    assert "GPU's generation" in rules(judge(box("kernel 6.19.3", *GPU, "gfx 110000"), "halo1"))
    assert "GPU's generation" not in rules(judge(real("kyuz0-system-info"), "halo1"))


def test_a_hang() -> None:
    assert "device wedged" in one(judge(real("hang-nathanw1014-16"), "halo1"), "GPU hung").seen


NETWORK = (
    "address lo 127.0.0.1", "address wlp1s0 192.168.1.11", "address wlp1s0 fe80::1",
    "address eno1 192.168.2.11", "address usb4-2 10.44.0.0",
    "default_route eno1", "wireless wlp1s0",
)  # fmt: skip


@pytest.mark.parametrize(
    ("listens", "rule", "severity"),
    [
        ("0.0.0.0:50052", "RPC port open", "stop"),
        ("[::]:50053", "RPC port open", "stop"),
        ("*:50052", "RPC port open", "stop"),
        ("192.168.1.11:50052", "RPC port on the network", "stop"),
        ("192.168.2.11:50052", "RPC port on the network", "warn"),
        ("[fe80::1]%wlp1s0:50052", "RPC port on the network", "stop"),
        ("10.44.0.0:50052", None, None),
        ("127.0.0.1:50052", None, None),
        ("[::1]:50052", None, None),
        ("0.0.0.0:22", None, None),
        ("0.0.0.0:99999999", None, None),
    ],
)
def test_rpc_ports(listens: str, rule: str | None, severity: str | None) -> None:
    found = judge(box("kernel 6.18.9", f"listen {listens}", *NETWORK, *GPU), "halo1")
    assert [(finding.rule, finding.severity) for finding in found] == ([(rule, severity)] if rule else [])


def test_an_open_rpc_port_names_the_wifi() -> None:
    finding = one(judge(box("kernel 6.18.9", "listen 0.0.0.0:50052", *NETWORK), "halo1"), "RPC port open")
    assert "wlp1s0 (Wi-Fi), eno1 (default route), usb4-2" in finding.seen


def test_an_rpc_port_of_the_lab_on_its_link() -> None:
    """Also where the link's fabric has the default route."""
    wanted = Expected(rpc_ports=(50077,), links=frozenset({"eno1"}))
    seen = box("kernel 6.18.9", "listen 192.168.2.11:50077", *NETWORK, *GPU)
    assert judge(seen, "halo1", wanted) == []
    assert rules(judge(box("kernel 6.18.9", "listen *:50077", *NETWORK, *GPU), "halo1", wanted)) == {"RPC port open"}


DESKTOP = ("os fedora-43", "kernel 6.18.9", "package gnome-shell 49.1-1.fc43", "default_target graphical.target")


def test_gnome() -> None:
    rule = "GNOME suspends the box"
    assert rule in rules(judge(box(*DESKTOP, "suspend static"), "halo1"))
    assert rule not in rules(judge(box(*DESKTOP, "suspend masked"), "halo1"))
    assert rule not in rules(judge(box(*DESKTOP, "variant server"), "halo1"))
    assert rule not in rules(judge(box(*DESKTOP, "default_target multi-user.target"), "halo1"))
    asleep = "dconf /etc/dconf/db/local.d/00-sleep: sleep-inactive-ac-type='nothing'"
    assert rule not in rules(judge(box(*DESKTOP, asleep), "halo1"))


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        (("tuned balanced",), "tuned"),
        (("tuned accelerator-performance", "active tuned-ppd"), "tuned-ppd"),
        (("tuned accelerator-performance", "vm.dirty_ratio 40"), "dirty pages"),
        (("amdvlk /etc/vulkan/icd.d/amd_icd64.json",), "AMDVLK"),
        (("env /etc/environment: HSA_OVERRIDE_GFX_VERSION=11.0.0",), "HSA_OVERRIDE_GFX_VERSION"),
        (("env /etc/environment: RADV_PERFTEST=nogttspill",), "RADV_PERFTEST"),
        (("env /etc/profile.d/a.sh: export GGML_CUDA_ENABLE_UNIFIED_MEMORY=1",), "GGML_CUDA_ENABLE_UNIFIED_MEMORY"),
        (("tuned accelerator-performance", "vm.dirty_ratio 20"), None),
        (("tuned halofleet", "active tuned", "vm.dirty_ratio 0"), None),  # what the role `tuning` leaves
        (("tuned halofleet", "active tuned-ppd"), "tuned-ppd"),
        (("tuned halofleet", "vm.dirty_ratio 40"), "dirty pages"),
    ],
)
def test_habits(lines: tuple[str, ...], rule: str | None) -> None:
    assert rules(judge(box("kernel 6.18.9", *GPU, *lines), "halo1")) == ({rule} if rule else set())


def test_a_profile_that_lab_yml_leaves_alone() -> None:
    assert rules(judge(box("tuned balanced"), "halo1", Expected(tuning=False))) == set()


def test_other_words_of_an_environments_line_stay_there() -> None:
    line = "env /etc/profile.d/a.sh: export HSA_OVERRIDE_GFX_VERSION=11.5.1 HF_TOKEN=hf_secret"
    assert all("hf_secret" not in str(finding) for finding in judge(box("kernel 6.18.9", line), "halo1"))


def test_what_the_inventory_says_of_a_box() -> None:
    seen = booted("ro", "os fedora-43", "dmi.product_name MS-S1 MAX")
    wanted = Expected(os="ubuntu-26.04", board="framework-desktop", installed=192)
    assert {"os", "board", "installed memory"} <= rules(judge(seen, "halo1", wanted))
    wanted = Expected(os="fedora-43", board="minisforum-ms-s1-max", installed=128)
    assert not {"os", "board", "installed memory"} & rules(judge(seen, "halo1", wanted))


def test_expected_of_the_examples() -> None:
    for path in sorted((ROOT / "inventory/examples").glob("*.yml")):
        lab = load(path)
        for name in lab.nodes:
            assert expected(lab, name).os == lab.node(name).os
    shipped = load(ROOT / "inventory/lab.yml")
    assert not expected(shipped, "halo1").kernel


def test_a_container_is_not_asked_for_its_hosts_kernel() -> None:
    seen = box("kernel 6.1.0", "container systemd-nspawn", "cmdline amd_iommu=pt", "vm.dirty_ratio 40", *GPU[:1])
    assert judge(seen, "halo1") == []


def test_worst_first() -> None:
    seen = booted("amdgpu.cwsr_enable=0 iommu=pt ttm.pages_limit=nope", "listen *:50052")
    severities = [finding.severity for finding in judge(seen, "halo1")]
    assert severities == sorted(severities, key=("stop", "warn", "ok").index)
    assert severities[0] == "stop"
    assert severities[-1] == "ok"


KEYS = sorted({line.split(" ")[0] for path in FOLDER.glob("*.txt") for line in path.read_text().splitlines()})
MORE = ["grub", "grubby", "kernel_cmdline", "modprobe", "installed_kernel", "listen", "address", "rocm", "env", "gfx"]
lines = st.lists(st.tuples(st.sampled_from([*KEYS, *MORE]), st.text(max_size=40)).map(" ".join) | st.text(), max_size=8)


@given(lines)
def test_garbage_never_raises(output: list[str]) -> None:
    seen = parse(output)
    findings = judge(seen, "halo1", Expected(os="fedora-43", backend="rocm", gpu=112, installed=128))
    text = report({"halo1": seen}, findings, redactor({"halo1": seen}))
    assert json.loads(as_json({"halo1": seen}, findings))
    assert all(line.isprintable() for line in text.splitlines())


@given(st.sampled_from(sorted(FOLDER.glob("*.txt"))), st.data())
def test_a_torn_answer_never_raises(path: Path, data: st.DataObject) -> None:
    text = path.read_text()
    cut = text[: data.draw(st.integers(0, len(text)))]
    judge(parse(cut.splitlines()), "halo1")


def test_an_answer_of_nothing() -> None:
    assert parse([]) == Box()


def test_a_report() -> None:
    seen = real("amd-ttm-default", "unread dmesg", "unread amdgpu_firmware_info")
    text = report({"halo1": seen}, judge(seen, "halo1"))
    assert text.splitlines()[0] == "halo1: kernel 6.18.4, 125.6 GiB"
    assert "  warn  GPU's memory: GPU sees 62.8 of 125.6 GiB" in text
    assert "  could not be read without root: dmesg, amdgpu_firmware_info" in text
    assert text.splitlines()[-1] == "1 box: 0 stop, 1 warn, 0 ok"


SECRETS = ("halo1", "kitchen", "192.168.1.11", "fe80::98", "02:a1:59:56:2c:c2", "enx02a159562cc2", "d2df2b8c")


def test_redaction() -> None:
    text = (
        "halo1: kitchen.lan (kitchen) at 192.168.1.11:50052 and fe80::98, 02:a1:59:56:2c:c2 on enx02a159562cc2, "
        "root=UUID=d2df2b8c-0000-4000-8000-000000000000, 0.0.0.0:22, 127.0.0.1, 0000:c5:00.0, kernel 6.18.9, halo1-usb4"
    )
    seen = {"halo1": box("hostname kitchen.lan"), "halo2": Box()}
    said = redactor(seen)(text)
    assert said == (
        "box1: box1 (box1) at address1:50052 and address2, mac1 on mac2, "
        "root=UUID=id1, 0.0.0.0:22, 127.0.0.1, 0000:c5:00.0, kernel 6.18.9, box1-usb4"
    )
    finding = Finding("rule", "warn", "halo1", text, text, text, "source")
    assert redacted(finding, redactor(seen)).node == "box1"
    whole = report(seen, [finding], redactor(seen)) + as_json(seen, [finding], redactor(seen))
    assert not any(word in whole for word in SECRETS)


def test_every_entry_has_its_words() -> None:
    for entry in words().values():
        assert all(entry[key] for key in ("severity", "seen", "expected", "fix", "source"))
