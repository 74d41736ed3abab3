"""The Open Inference Protocol, version 2, for clients of KServe and Triton."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])


@router.get("/health/live")
async def live() -> Response:
    """Whether the process runs."""
    return JSONResponse({"live": True})


@router.get("/health/ready")
async def ready(request: Request) -> Response:
    """Whether requests are taken."""
    is_ready = request.app.state.service.ready
    return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)
