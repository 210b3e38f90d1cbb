"""The explorer: its numbers, its widgets in a kernel, its pages in a browser."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fgmanifolds import Oblique, ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.plot.explorer_data import curvatures, histogram, resized, two_sphere_paths

pytest.importorskip("plotly", reason="plotly is not installed (extra explore)")
pytest.importorskip("anywidget", reason="anywidget is not installed (extra explore)")

from fgmanifolds.plot import explore, radius_slider, save_page

PRODUCT = Sphere(3, 1) * Stiefel(4, 2)


def test_histograms_count_every_plane():
    product = ScaledProductManifold([Sphere(3, 3, k=2), Oblique(3, 2)], scales=[0.5, 2])
    low, high = product.sectional_curvature_bounds
    values = curvatures(product, 400, seed=3)
    assert low - 1e-9 <= values.min() <= values.max() <= high + 1e-9
    middles, shares = histogram(values, low, high)
    assert shares.sum() == pytest.approx(1)
    width = middles[1] - middles[0]
    assert np.sum(middles * shares) == pytest.approx(values.mean(), abs=width / 2)


@pytest.mark.parametrize("radius", [0.3, 1.0, 4.0])
def test_vectors_are_carried_along_geodesics(radius):
    """By the differential equations of both, with nothing of the package's formulas."""
    (drawn,) = two_sphere_paths([radius])
    center = np.array([0.0, radius, 0.0])
    path = drawn.path - center
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), radius, rtol=1e-12)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    np.testing.assert_allclose(2 * radius * np.arcsin(steps / 2 / radius).sum(), 4, rtol=1e-9)
    feet, vectors = drawn.arrows[:, 0] - center, np.diff(drawn.arrows, axis=1)[:, 0]
    np.testing.assert_allclose(np.sum(feet * vectors, axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 0.6, rtol=1e-12)
    # A carried vector keeps its angle to the geodesic's velocity.
    normal = np.cross(path[0], path[1])
    velocities = np.cross(normal / np.linalg.norm(normal), feet)
    cosines = np.sum(velocities * vectors, axis=1)
    np.testing.assert_allclose(cosines, cosines[0], atol=1e-9)


def test_sliders_draw_anew():
    explorer = explore(PRODUCT, samples=200)
    before, now, ends = explorer.flat.data
    old, spheres = np.array(now.y), np.array(explorer.space.data[1].x)
    explorer.radii[0].value = 0.5
    assert explorer.product == resized(PRODUCT, [0.5, 1], [1, 1])
    np.testing.assert_array_equal(before.y, old)
    assert not np.array_equal(now.y, old)
    assert (ends.x[0], ends.x[-1]) == explorer.product.sectional_curvature_bounds
    assert not np.array_equal(explorer.space.data[1].x, spheres)
    explorer.copies[1].value = 3
    assert explorer.product.n_factors == 4
    assert f"dimension {explorer.product.dim}," in explorer.flat.layout.title.text


def test_frames_are_the_products_at_their_radii():
    figure = radius_slider(PRODUCT, component=1, radii=[0.5, 2.0], samples=100)
    assert [frame.name for frame in figure.frames] == ["0.50", "2.00"]
    for frame, radius in zip(figure.frames, (0.5, 2.0)):
        low, high = resized(PRODUCT, [1, radius], [1, 1]).sectional_curvature_bounds
        assert (frame.data[1].x[0], frame.data[1].x[-1]) == (low, high)
    assert len(figure.layout.sliders[0].steps) == 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: explore("sphere"), TypeError, "manifold='sphere'"),
        (lambda: explore(Sphere(2, 1)), ValueError, "dimension 1: it has no planes"),
        (lambda: explore(PRODUCT, samples=0), ValueError, "samples=0"),
        (lambda: radius_slider(PRODUCT, 2), ValueError, "component=2: the product has 2"),
        (lambda: radius_slider(PRODUCT, radii=[]), ValueError, "radii is empty"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


# In a browser ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("there is no chromium with its driver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    profile = tmp_path_factory.mktemp("profile")
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}",
        "--enable-unsafe-swiftshader", "--window-size=1200,700",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    found = webdriver.Chrome(options=options, service=service)
    yield found
    found.quit()


def heights(browser):
    """Heights of the bars as they are drawn."""
    return browser.execute_script(
        "return [...document.querySelectorAll('.barlayer .point path')]"
        ".map(bar => bar.getBBox().height)"
    )


def wait_for(condition, seconds=20):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(None, seconds, 0.1).until(lambda _: condition())


def move_slider(browser, to):
    """Click on the rail at a share of its width."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    rail = browser.find_element(By.CSS_SELECTOR, ".slider-rail-touch-rect")
    across = rail.rect["width"] * (to - 0.5)
    ActionChains(browser).move_to_element_with_offset(rail, int(across), 0).click().perform()


def works(browser, address):
    """Open a page, move its slider, and see the bars change without an error in the console."""
    browser.get(address)
    wait_for(lambda: len(heights(browser)) == 60)
    before = heights(browser)
    title = browser.execute_script("return document.querySelector('.gtitle').textContent")
    move_slider(browser, 0.9)
    wait_for(lambda: heights(browser) != before)
    after = browser.execute_script("return document.querySelector('.gtitle').textContent")
    assert after != title
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []


def test_a_page_is_alive_without_a_kernel(browser, tmp_path):
    save_page(radius_slider(Sphere(3, 1) ** 2, samples=300), tmp_path / "page.html")
    works(browser, (tmp_path / "page.html").as_uri())


@pytest.mark.parametrize("name", ["plot_14_explorer", "plot_15_explorer_stiefel"])
def test_the_gallery_is_alive(browser, name):
    page = Path(__file__).parents[2] / f"docs/_build/html/gallery/geometry/{name}.html"
    if not page.exists():
        pytest.skip("the documentation is not built: make docs")
    works(browser, page.as_uri())


# In JupyterLab, with a kernel ------------------------------------------------------------

CELL = """\
from fgmanifolds import Sphere, Stiefel
from fgmanifolds.plot import explore
explore(Sphere(3, 1) * Stiefel(4, 2), samples=300)"""


@pytest.fixture
def lab(tmp_path):
    """Address of a notebook in a JupyterLab of its own, with one cell."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed (extra notebooks)")
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": CELL, "outputs": []}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = {"cells": [cell | {"execution_count": None}], "metadata": {"kernelspec": kernel}}
    text = json.dumps(book | {"nbformat": 4, "nbformat_minor": 5})
    (tmp_path / "book.ipynb").write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "RUNTIME")}
    command = [sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser"]
    options = [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
    server = subprocess.Popen(
        [*command, *options, f"--ServerApp.root_dir={tmp_path}"],
        env=os.environ | folders,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield f"http://127.0.0.1:{port}/lab/tree/book.ipynb"
    server.terminate()
    server.wait(30)


@pytest.mark.slow
def test_sliders_move_in_jupyter(browser, lab):
    from selenium.common.exceptions import TimeoutException, WebDriverException
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    def there():
        try:
            browser.get(lab)
        except WebDriverException:
            return False
        return True

    wait_for(there, 60)
    cells = ".jp-Notebook .jp-CodeCell .cm-content"
    wait_for(lambda: browser.find_elements(By.CSS_SELECTOR, cells), 60)
    idle = "[data-status='idle'], .jp-Notebook-ExecutionIndicator"
    wait_for(lambda: browser.find_elements(By.CSS_SELECTOR, idle), 60)

    def run_until_drawn():
        """Run the cell; again if the kernel was not there yet."""
        browser.execute_script("document.querySelector(arguments[0]).focus()", cells)
        keys = ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.ENTER)
        keys.key_up(Keys.SHIFT).perform()
        try:
            return wait_for(lambda: len(heights(browser)) == 60, 40)
        except TimeoutException:
            return False

    wait_for(run_until_drawn, 150)
    before = heights(browser)
    (handle, *others) = browser.find_elements(By.CSS_SELECTOR, ".widget-slider .noUi-handle")
    assert len(others) == 3
    ActionChains(browser).click_and_hold(handle).move_by_offset(-40, 0).release().perform()
    wait_for(lambda: heights(browser) != before, 60)
    assert browser.find_elements(By.CSS_SELECTOR, "canvas")
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert [one for one in severe if "plotly" in one["message"] or "widget" in one["message"]] == []
