"""The upload page: static files that use only the service's public API, and the route serving them.

    from ddcolor_service.page.routes import add_page
    add_page(app)

Nothing here knows the executor or the models: whatever the page shows comes from the API that every
ComfyUI client has, from the fault catalogue and from the size advice.
"""
